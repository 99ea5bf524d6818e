"""The figures that runs are judged by."""
