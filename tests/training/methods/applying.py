"""What a method's work does, by the noun: most tests ask one question of one method."""

from launcher.training.methods import method_work


def apply(model, method, new_modules):
    return method_work(method).apply(model, new_modules)


def save(model, method, folder):
    method_work(method).save(model, folder)


def load_saved(model, method, new_modules, folder):
    return method_work(method).load_saved(model, new_modules, folder)
