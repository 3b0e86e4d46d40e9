"""Writes digits_images.npy and digits_labels.npy beside this file.

Needs: pip install scikit-learn numpy. The files that are kept here were made by scikit-learn 1.9.1; every version ships the same data.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

folder = Path(__file__).resolve().parent
digits = load_digits()
images = digits.data.astype(np.uint8)
labels = digits.target.astype(np.uint8)
assert images.shape == (1797, 64) and labels.shape == (1797,)
assert (images == digits.data).all() and images.max() == 16
for name, array in (("digits_images", images), ("digits_labels", labels)):
    with open(folder / f"{name}.npy", "wb") as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array), version=(1, 0))
