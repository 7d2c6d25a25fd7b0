"""The test part of the digits, as arrays of every kind and as files."""

import numpy as np

from pluggable_mlp.data import load_dataset

PIXELS = load_dataset("digits").test.inputs
SAVED = {
    "uint8": PIXELS,
    "float32": PIXELS.astype("float32") / 16,
    "float64": PIXELS / 16,
}


def save(folder, form, ending):
    """Save the digits' test part as a file with labels and one without; return their paths."""
    inputs, labels = SAVED[form], load_dataset("digits").test.targets
    whole, alone = folder / f"data.{ending}", folder / f"inputs.{ending}"
    if ending == "npz":
        np.savez(whole, X=inputs, y=labels)
        np.savez(alone, X=inputs)
    else:
        np.savetxt(whole, np.column_stack([inputs, labels]), delimiter=",", fmt="%.17g")
        np.savetxt(alone, inputs, delimiter=",", fmt="%.17g")
    return whole, alone
