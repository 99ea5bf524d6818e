from __future__ import annotations

import torch

from vjo_train.data.shared_memory import Slots


def test_a_slot_that_a_test_has_made_is_free_again_outside_of_it() -> None:
    """Tests run in inference mode, and a run that is stopped in one drops its last batch outside."""
    with torch.inference_mode():
        slots = Slots(1, 2, (8, 8))
        slots._taken[0] = True
        held = slots.hand_out(0, 2)
    del held
    assert not slots._taken.any()
