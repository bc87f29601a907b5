"""What all tests share: started in the background by a script, they still have a Ctrl-C to send."""

import signal

# a shell starts its background jobs with SIGINT ignored, and what is ignored stays so in every process below
signal.signal(signal.SIGINT, signal.default_int_handler)
