"""Chemical reactions as the tokens of an atom-mapping model: atoms, neighbours, distances, roles.

Reactions are written as SMILES of the organic subset without aromatic atoms and charges, molecules
apart by dots: `CC(=O)O.OCC>>CC(=O)OCC.O`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
NUMBERS = {"H": 1, "B": 5, "C": 6, "N": 7, "O": 8, "F": 9, "S": 16, "Cl": 17, "Br": 35, "I": 53}
VALENCES = {"B": 3, "C": 4, "N": 3, "O": 2, "F": 1, "S": 2, "Cl": 1, "Br": 1, "I": 1}
ORDERS = {"-": 1, "=": 2, "#": 3}
FARTHEST = 10  # bonds; what is farther apart is as far as that
START, OTHER = 1, 2  # the token that begins a molecule; what numbers of atoms and bonds begin after

REACTIONS = (
    "CC(=O)O.OCC>>CC(=O)OCC.O",
    "C1=CC=CC=C1C(=O)Cl.NCC>>C1=CC=CC=C1C(=O)NCC.Cl",
    "BrC1=CC=C(C)C=C1.OB(O)C1=CC=CC=C1>>CC1=CC=C(C=C1)C1=CC=CC=C1",
    "CCCBr.N#C>>CCCC#N.Br",
    "CC(=O)C.NCC1=CC=CC=C1>>CC(C)NCC1=CC=CC=C1.O",
    "C=CC=C.C=CC(=O)OC>>COC(=O)C1CC=CCC1",
    "CC(C)(C)OC(=O)NCC(=O)O.NCCO>>CC(C)(C)OC(=O)NCC(=O)NCCO.O",
    "OC(=O)C1=CC=CC=C1O.CC(=O)OC(=O)C>>CC(=O)OC1=CC=CC=C1C(=O)O.CC(=O)O",
)


def molecule(smiles: str) -> tuple[list[str], Array]:
    """The atoms of a molecule, and the order of the bond between each two, 0 for none."""
    atoms: list[str] = []
    bonds: dict[tuple[int, int], int] = {}
    branches: list[int] = []
    rings: dict[str, tuple[int, int]] = {}
    last, order, at = -1, 1, 0
    while at < len(smiles):
        sign = smiles[at : at + 2] if smiles[at : at + 2] in NUMBERS else smiles[at]
        at += len(sign)
        if sign in NUMBERS:
            atoms.append(sign)
            if last >= 0:
                bonds[last, len(atoms) - 1] = order
            last, order = len(atoms) - 1, 1
        elif sign == "(":
            branches.append(last)
        elif sign == ")":
            last = branches.pop()
        elif sign in ORDERS:
            order = ORDERS[sign]
        elif sign in rings:
            other, opened = rings.pop(sign)
            bonds[other, last] = max(order, opened)
            order = 1
        elif sign.isdigit():
            rings[sign] = (last, order)
            order = 1
        else:
            raise ValueError(f"'{sign}' in '{smiles}' is not read")
    found = np.zeros((len(atoms), len(atoms)), np.int64)
    for (a, b), each in bonds.items():
        found[a, b] = found[b, a] = each
    return atoms, found


def _distances(bonds: Array) -> Array:
    """How many bonds apart each two atoms are."""
    apart = np.where(bonds > 0, 1, FARTHEST)
    np.fill_diagonal(apart, 0)
    for via in range(len(apart)):
        apart = np.minimum(apart, apart[:, via, None] + apart[None, via])
    return np.asarray(apart)


def tokens(reaction: str) -> dict[str, Array]:
    """The inputs of the model for one reaction: a token for it, one a molecule, one an atom."""
    atoms, neighbors, roles = [START], [0], [START]
    blocks: list[Array] = []
    for role, side in enumerate(reaction.split(">>"), START + 1):
        for smiles in side.split("."):
            names, bonds = molecule(smiles)
            hydrogens = [VALENCES[n] - sum(b) for n, b in zip(names, bonds, strict=True)]
            held = (bonds > 0).sum(1) + np.maximum(hydrogens, 0)
            atoms += [START, *(NUMBERS[name] + OTHER for name in names)]
            neighbors += [0, *(held + OTHER).tolist()]
            roles += [role] * (len(names) + 1)
            blocks.append(np.pad(_distances(bonds) + OTHER, (1, 0), constant_values=START))
    whole = np.zeros((len(atoms), len(atoms)), np.int64)
    whole[0, 0] = START
    at = 1
    for block in blocks:
        whole[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    flat = {"atoms": atoms, "neighbors": neighbors, "roles": roles}
    return {
        **{name: np.array([each], np.int64) for name, each in flat.items()},
        "distances": whole[None],
    }


def mapped(reaction: str, attention: Array) -> dict[int, int]:
    """For each atom of the products the reactants' atom that it attends to most, of its element.

    Of atoms that symmetry makes alike, whose attention differs by rounding alone, the first.
    """
    feed = tokens(reaction)
    numbers, roles = feed["atoms"][0], feed["roles"][0]
    of = {
        role: [i for i in range(len(roles)) if roles[i] == role and numbers[i] > OTHER]
        for role in (START + 1, START + 2)
    }
    left, right = of.values()
    both = attention[np.ix_(right, left)] + attention[np.ix_(left, right)].T
    both = both.round(3) * (numbers[right][:, None] == numbers[left][None])
    return {p: left[int(row.argmax())] for p, row in zip(right, both, strict=True) if row.any()}
