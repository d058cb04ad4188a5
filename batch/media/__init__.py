"""From a reference in a job to an image that is ready to send: confine, read, check, prepare.

Nothing here knows the event loop: the functions block and are called in threads.
"""
