"""Where jobs come from: job files and folders of images, read in bounded memory."""
