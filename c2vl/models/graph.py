"""A skeleton as a graph: the parent of each joint, and the partitions that convolutions use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import shipped_layout


@dataclass(frozen=True)
class SkeletonGraph:
    """A tree of joints, given by the parent of each joint (0-based); the root is its own parent.

    `of` takes those of a data set (`c2vl/core/layouts`); `from_bones` takes the 1-based pairs of
    the papers.
    """

    name: str
    parents: tuple[int, ...]
    persons: int = 2  # slots of a clip

    def __post_init__(self) -> None:
        roots = [joint for joint, parent in enumerate(self.parents) if joint == parent]
        if len(roots) != 1:
            raise ValueError(
                f"graph {self.name}: a skeleton has one root joint (its own parent), "
                f"not {len(roots)}"
            )
        for joint in range(self.joints):
            seen, at = set(), joint
            while at != roots[0]:
                if at in seen or not 0 <= self.parents[at] < self.joints:
                    raise ValueError(
                        f"graph {self.name}: joint {joint} does not lead to the root {roots[0]}"
                    )
                seen.add(at)
                at = self.parents[at]

    @classmethod
    def from_bones(cls, name: str, bones: list[tuple[int, int]], root: int) -> SkeletonGraph:
        """Build a graph from 1-based (joint, parent) pairs, as published skeletons are listed."""
        parent_of = {joint: parent for joint, parent in bones} | {root: root}
        if sorted(parent_of) != list(range(1, len(parent_of) + 1)):
            raise ValueError(
                f"graph {name}: the bones must give every joint but the root exactly one parent"
            )
        return cls(name, tuple(parent_of[joint] - 1 for joint in sorted(parent_of)))

    @classmethod
    def of(cls, layout: SkeletonLayout) -> SkeletonGraph:
        """The bones of a data set's skeleton."""
        return cls(layout.name, layout.parents, layout.persons)

    @property
    def joints(self) -> int:
        """Number of joints V."""
        return len(self.parents)

    @property
    def root(self) -> int:
        """The joint that all bones lead to (0-based)."""
        return next(joint for joint, parent in enumerate(self.parents) if joint == parent)

    def depth(self, joint: int) -> int:
        """Number of bones between `joint` and the root."""
        steps = 0
        while joint != self.parents[joint]:
            joint, steps = self.parents[joint], steps + 1
        return steps

    def spatial_partition(self) -> np.ndarray:
        """Normalised adjacency in three subsets, (3, V, V) float32.

        Entry [k, v, w] is the weight of joint v for joint w.

        Subset 0 is the joint itself, 1 its neighbours farther from the root, 2 those nearer to it
        (spatial configuration partitioning of ST-GCN, Yan et al., AAAI 2018, Eq. 8); each column of
        the sum over subsets adds up to 1 (their AD^-1). The published code measures distances only
        up to one bone, so that beyond the root's neighbours both directions fall into subset 1;
        this is the partition of the paper's text.
        """
        adjacency = self._subsets().transpose(0, 2, 1).copy()
        return adjacency / adjacency.sum(axis=(0, 1), keepdims=True)

    def directed_partition(self) -> np.ndarray:
        """Adjacency in three subsets, (3, V, V) float32.

        Entry [k, v, w] is the weight of joint w for joint v.

        Subset 0 is the joint itself, 1 its children, 2 its parent; each subset's columns are
        normalised by themselves (a parent's weight is shared among its children), as 2s-AGCN and
        CTR-GCN initialise their learnt graphs.
        """
        adjacency = self._subsets()
        return adjacency / np.maximum(adjacency.sum(axis=1, keepdims=True), 1)

    def _subsets(self) -> np.ndarray:
        """(3, V, V) float32, entry [k, v, w] is 1 where w is v itself, its child, its parent."""
        subsets = np.zeros((3, self.joints, self.joints), dtype=np.float32)
        for joint, parent in enumerate(self.parents):
            subsets[0, joint, joint] = 1
            if joint != parent:
                subsets[1, parent, joint] = 1
                subsets[2, joint, parent] = 1
        return subsets

    def hops(self) -> np.ndarray:
        """Number of bones between each two joints, (V, V) int64."""
        chains = [self._chain(joint) for joint in range(self.joints)]
        return np.array(
            [[len(set(one) ^ set(other)) for other in chains] for one in chains], dtype=np.int64
        )

    def _chain(self, joint: int) -> list[int]:
        chain = [joint]
        while chain[-1] != self.parents[chain[-1]]:
            chain.append(self.parents[chain[-1]])
        return chain


NTU25 = SkeletonGraph.of(shipped_layout("ntu25"))
"""The 25 joints of Kinect v2 (NTU RGB+D, PKU-MMD); joint 21 is the spine at the shoulders."""
