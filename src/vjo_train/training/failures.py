"""What is said of a run that memory, a process or a number brought down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from vjo_train.data.datamodule import DataModule
from vjo_train.errors import NumericsError, ResourceError
from vjo_train.files import NO_SPACE
from vjo_train.training import checkpoints

_NO_MEMORY = re.compile(r"can't allocate memory|out of memory", re.IGNORECASE)
_WORKER = re.compile(r"DataLoader worker \(pid(?:\(s\))? (\d+)[^)]*\) (.*)")
_RANK = re.compile(r"gloo/transport|Connection closed by peer|Connection reset by peer|NCCL", re.IGNORECASE)


@contextmanager
def explained(data: DataModule, output: Path) -> Iterator[None]:
    """Turns what the block raises into an error that says what to do, where that is known.

    Args:
        data: what the block loads, to name the image that a dead process had.
        output: the run's folder, to name its last good checkpoint.

    Raises:
        ResourceError: memory or the disk's space ran out, or a loading process or another rank died.
        NumericsError: as it was raised, with the last good checkpoint.
    """
    try:
        yield
    except NumericsError as error:
        raise NumericsError(f"{error} {checkpoints.newest(output)}") from error
    except MemoryError as error:
        raise ResourceError(_no_memory("of the machine")) from error
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise ResourceError(
            f"{error.filename or f'A file in {output} or in dataset.cache_dir'}: could not be written "
            f"({error.strerror}). Make room, then go on with "
            f"trainer.resume=auto. {checkpoints.newest(output)}"
        ) from error
    except RuntimeError as error:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError):
            peak = torch.cuda.max_memory_allocated() / 2**30
            raise ResourceError(_no_memory(f"of the GPU (at most {peak:.2f} GiB were in use)")) from error
        if _NO_MEMORY.search(text):
            raise ResourceError(_no_memory("of the machine")) from error
        if worker := _WORKER.search(text):
            image = data.under_way(int(worker[1]))
            had = f"; the last image it took up was {image}" if image else ""
            raise ResourceError(
                f"A loading process died ({worker[2].strip(' .')}){had}. If the machine ran out of memory, lower "
                f"dataset.workers or dataset.batch_size; dataset.workers=0 loads in the main process. "
                f"{checkpoints.newest(output)}"
            ) from error
        if torch.distributed.is_initialized() and _RANK.search(text):
            reason = text.splitlines()[0].partition(". This is typically")[0]  # what follows is gloo's advice
            raise ResourceError(
                f"Another process of this run ended ({reason}); what it said itself tells why. "
                f"{checkpoints.newest(output)}"
            ) from error
        raise


def _no_memory(whose: str) -> str:
    return (
        f"The memory {whose} ran out. Lower dataset.batch_size (and raise trainer.accumulate_grad_batches by as much), "
        "dataset.size or dataset.eval_batch_size, take a smaller backbone, or set trainer.precision=bf16-mixed."
    )
