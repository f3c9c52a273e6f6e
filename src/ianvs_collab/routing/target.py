"""What a router is taught: for each query a distribution over classes, and what each class is worth.

All labels of the literature become one thing. `gain` has the classes "cloud helps" and "it does not", worth 1 and 0;
`delta` has loss, same and gain, worth -1, 0 and 1; soft labels put a probability on each. A model that learns to
predict the classes then scores a query by its expected worth, whatever the label was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ianvs_collab.routing.traces.trace import Floats


@dataclass(frozen=True)
class Target:
    """Soft class labels.

    Attributes:
        name: Name of the label, e.g. `delta`.
        probabilities: Shape (n, k), rows sum to 1.
        values: Worth of sending a query of each class to the cloud, shape (k,), ascending.
    """

    name: str
    probabilities: Floats
    values: Floats

    @property
    def expected(self) -> Floats:
        """Expected worth of the cloud for each query, shape (n,)."""
        worth: Floats = self.probabilities @ self.values
        return worth

    @property
    def classes(self) -> int:
        """Number of classes k."""
        return len(self.values)

    def subset(self, indices: np.ndarray) -> Target:
        """The labels of some queries."""
        return Target(self.name, self.probabilities[indices], self.values)
