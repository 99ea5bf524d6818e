"""What a test keeps of each image, so that its figures can be computed again on any sample of the images.

The file `test_records.npz` holds, by task, the ids of the tested images and one of the kinds of records of this folder:
no images, boxes or masks, only what the metrics need. Imports no torch. May import: errors, runs.average_precision.
"""

from vjo_train.runs.records.averages import Averages
from vjo_train.runs.records.base import Records
from vjo_train.runs.records.choices import Choices
from vjo_train.runs.records.file import FILE, KINDS, TaskRecords, read_records, to_bytes
from vjo_train.runs.records.matches import Matches
from vjo_train.runs.records.numbers import Numbers
from vjo_train.runs.records.pixels import Pixels
from vjo_train.runs.records.scores import Scores
from vjo_train.runs.records.segments import Segments
from vjo_train.runs.records.thresholds import Thresholds

__all__ = [
    "FILE",
    "KINDS",
    "Averages",
    "Choices",
    "Matches",
    "Numbers",
    "Pixels",
    "Records",
    "Scores",
    "Segments",
    "TaskRecords",
    "Thresholds",
    "read_records",
    "to_bytes",
]
