"""Which cases a model learns from and which it is tested on: divided by patient, so that nothing leaks."""

import hashlib
from collections.abc import Mapping, Sequence
from fractions import Fraction

from surgical_ml.errors import InputError
from surgical_ml.labels.folders import natural

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

SHARES = (Fraction(7, 10), Fraction(15, 100), Fraction(15, 100))
"""Of the patients, in the order of `SPLITS`, where nobody says otherwise."""

_OTHER_NAMES = {"val": VALIDATION, "valid": VALIDATION, "training": TRAIN, "testing": TEST}


def split_by_patient(
    patients: Mapping[str, str | None], *, seed: int = 0, shares: Sequence[Fraction] = SHARES
) -> dict[str, tuple[str, ...]]:
    """Divide cases among `SPLITS`, all cases of a patient together.

    Patients are put in the order of a digest of their names, so the division is the same whatever order the cases come
    in. Each split gets one patient at least.

    Args:
        patients: case -> patient.
        seed: another one gives another division.
        shares: of the patients, in the order of `SPLITS`.

    Raises:
        InputError: a case has no patient, or there are fewer patients than splits.
    """
    unknown = sorted((case for case, patient in patients.items() if patient is None), key=natural)
    if unknown:
        raise InputError(
            "patients", "the patient of every case, in the data set's card", f"none for {', '.join(unknown[:3])}"
        )
    names = {str(patient) for patient in patients.values()}
    if len(names) < len(SPLITS):
        raise InputError("patients", f"{len(SPLITS)} or more, one for each of {', '.join(SPLITS)}", str(len(names)))
    order = sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    first = min(max(1, round(len(order) * shares[0])), len(order) - 2)
    second = min(max(1, round(len(order) * shares[1])), len(order) - first - 1)
    parts = (order[:first], order[first : first + second], order[first + second :])
    return {
        split: tuple(sorted((case for case, patient in patients.items() if patient in part), key=natural))
        for split, part in zip(SPLITS, parts, strict=True)
    }


def check_splits(splits: Mapping[str, Sequence[str]], patients: Mapping[str, str | None]) -> dict[str, tuple[str, ...]]:
    """A division that somebody made, under the names of `SPLITS`, if nothing leaks through it.

    Args:
        splits: split -> cases; `val` is understood. Cases in none of them are left out.
        patients: case -> patient, of all cases there are.

    Raises:
        InputError: a split of another name, or without cases; a case that is not there, or is in two splits; a patient
            in two splits; a case without a patient.
    """
    result: dict[str, tuple[str, ...]] = {}
    where: dict[str, str] = {}
    whose: dict[str, tuple[str, str]] = {}
    for given, cases in splits.items():
        split = _OTHER_NAMES.get(given, given)
        if split not in SPLITS or split in result:
            raise InputError(f"split {given}", f"each of {', '.join(SPLITS)} once", given)
        result[split] = tuple(cases)
        for case in cases:
            if case not in patients:
                raise InputError(f"split {given}", "cases of the data set", case)
            if case in where:
                raise InputError(case, f"one split, {where[case]}", f"{split} as well")
            where[case] = split
            patient = patients[case]
            if patient is None:
                raise InputError(case, "the patient of every case, in the data set's card", "none")
            before, other = whose.setdefault(patient, (split, case))
            if before != split:
                raise InputError(case, f"a patient that only {split} has", f"that of {other} in {before}")
    empty = [split for split in SPLITS if not result.get(split)]
    if empty:
        raise InputError("splits", f"cases in each of {', '.join(SPLITS)}", f"none in {empty[0]}")
    return {split: result[split] for split in SPLITS}
