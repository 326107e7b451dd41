"""Laws of the loop over jets: its formulas are those of the kinematics."""

from __future__ import annotations

import numpy as np

from anomalon.features.trilepton_kernel import wrapped
from anomalon.kinematics import wrap_phi


def test_angles_are_wrapped_as_everywhere_else():
    angles = np.concatenate([np.linspace(-7, 7, 201), np.pi * np.arange(-4, 5)])
    assert [wrapped(angle) for angle in angles] == wrap_phi(angles).tolist()
