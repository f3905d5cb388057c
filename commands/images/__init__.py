"""The images that a command is told to look at: which files, of which classes and groups."""

from commands.images.labels import FolderLabels, class_of_cell, folder_labels
from commands.images.tables import read_groups, read_labels

__all__ = ["FolderLabels", "class_of_cell", "folder_labels", "read_groups", "read_labels"]
