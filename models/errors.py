"""What can go wrong in `models/`, as one tree whose messages are meant for the user."""


class ModelError(Exception):
    """Base of every error that `models/` raises on purpose; its text is one line that says what to do."""


class RecipeError(ModelError):
    """A recipe holds a value that no network can be trained with."""


class DataError(ModelError):
    """The dataset is missing, truncated or not what it is called."""


class DeviceError(ModelError):
    """The asked-for device or engine does not exist here."""


class DeviceFault(ModelError):
    """The device failed under a training, whatever its recipe is; it is of no more use in this process."""


class ModelFileError(ModelError):
    """A file is no trained network of ours, or cannot be written as one."""


class PictureError(ModelError):
    """A file is no image that the network can see."""


class PictureSizeError(PictureError):
    """An image has another size than the network's; it can be scaled."""
