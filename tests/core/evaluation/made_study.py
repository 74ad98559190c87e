"""A realistic `evaluation.json`, made from nothing: 24 cases, some deviations, a harmed subgroup; the same every time.

`made_study(**changes)` gives the whole; a section is left out with `made_study(latency=None)`.
"""

import numpy as np

PHASES = (
    "Preparation",
    "CalotTriangleDissection",
    "ClippingCutting",
    "GallbladderDissection",
    "GallbladderPackaging",
    "CleaningCoagulation",
    "GallbladderRetraction",
)
TOOLS = ("grasper", "bipolar", "hook", "scissors", "clipper", "irrigator", "specimen_bag")
SHARES = (0.06, 0.30, 0.13, 0.25, 0.09, 0.11, 0.06)
FPS = 5.0
VERSION = "0.1.0"
MEASURES = ("accuracy", "precision", "recall", "jaccard", "f1")
STRICT = "a value whose denominator is 0 is left out; a sample without a prediction is wrong"


def interval(estimate, half, n=24):
    return {
        "estimate": float(estimate),
        "low": float(estimate - half),
        "high": float(estimate + half),
        "level": 0.95,
        "method": "bca",
        "draws": 2000,
        "n": n,
    }


def identity(protocol, *, cases=24, frames=36_000):
    return {
        "protocol": protocol,
        "fps": FPS,
        "nan_policy": STRICT,
        "version": VERSION,
        "cases": cases,
        "frames": frames,
    }


def made_case(rng, k):
    lengths = 300 * np.array(SHARES) * np.exp(rng.normal(0, 0.25, len(SHARES)))
    ends = np.cumsum(lengths)
    starts = ends - lengths
    duration = float(ends[-1])
    truth = [[float(a), float(b), p] for p, (a, b) in enumerate(zip(starts, ends, strict=True))]
    late = rng.exponential(3, len(ends))
    seen = np.minimum(ends + np.append(late[:-1], 0), duration)
    froms = np.concatenate(([0], seen[:-1]))
    blind = float(rng.uniform(0.2, 0.7) * duration)
    committed = [[0.0, 2.0, None]] + [
        [max(2.0, float(a)), float(b), p] for p, (a, b) in enumerate(zip(froms, seen, strict=True)) if b > max(2.0, a)
    ]
    network = [[float(a), float(b), p] for p, (a, b) in enumerate(zip(froms, seen, strict=True)) if b > a]
    validity = [[0.0, blind, "OK"], [blind, blind + 4, "WITHHELD"], [blind + 4, duration, "OK"]]
    events, advisories = [], []
    if k % 3 == 0:
        onset = float(rng.uniform(0.1, 0.8) * duration)
        kind, subject, priority = (
            ("tool-mismatch", "clipper", "medium") if k % 2 else ("order", "GallbladderDissection", "high")
        )
        events.append({"kind": kind, "subject": subject, "onset_s": onset, "end_s": onset + 8})
        if k % 4 != 3:
            delay = float(rng.uniform(1, 4))
            advisories.append(made_advisory(kind, subject, priority, onset + delay, 6.5, True, delay))
    if k % 8 == 5:
        at = float(rng.uniform(0.1, 0.8) * duration)
        advisories.append(made_advisory("tool-mismatch", "irrigator", "medium", at, 1.2, False, None))
    frames, smoky = int(duration * FPS), k % 2 == 0
    accuracy = float(rng.normal(94, 2) - 12 * (k % 12 == 1))
    return {
        "name": f"case{k:05d}",
        "frames": frames,
        "scored": frames,
        "duration_s": duration,
        "fps": FPS,
        "validity": {"OK": frames - 20, "WITHHELD": 20},
        "withheld": {"blurred": 20},
        "groups": {"site": "AB"[k % 2], "case length": ("short", "middle", "long")[k % 3]},
        "ribbons": {"truth": truth, "committed": committed, "network": network, "validity": validity},
        "events": events,
        "advisories": advisories,
        "scores": {
            "accuracy": accuracy,
            "precision": accuracy - 1,
            "recall": accuracy - 2,
            "jaccard": accuracy - 8,
            "f1": accuracy - 4,
            "edit": float(rng.uniform(80, 100)),
            "f1@10": float(rng.uniform(85, 100)),
            "f1@25": float(rng.uniform(80, 95)),
            "f1@50": float(rng.uniform(70, 90)),
            "over_segmentation": float(rng.uniform(1, 1.4)),
            "false_starts": float(rng.integers(0, 3)),
        },
        "group_scores": {
            "smoke": {"present": accuracy - 9, "absent": accuracy + 0.4} if smoky else {"absent": accuracy},
            "site": {"AB"[k % 2]: accuracy - 8},
            "case length": {("short", "middle", "long")[k % 3]: accuracy - 8},
        },
    }


def made_advisory(kind, subject, priority, at_s, lasted_s, matched, delay_s):
    return {
        "kind": kind,
        "subject": subject,
        "priority": priority,
        "certainty": "high" if matched else "low",
        "at_s": at_s,
        "lasted_s": lasted_s,
        "matched": matched,
        "delay_s": delay_s,
    }


def made_conventions():
    base = {"strict": 86.2, "per-phase": 85.1, "pooled": 88.0, "official": 93.4, "corrected": 94.9}
    relaxed = ("official", "corrected")
    return {
        name: identity(name)
        | {
            m: None if m == "f1" and name in relaxed else interval(value + 2 * (4 - k), 1.4)
            for k, m in enumerate(MEASURES)
        }
        for name, value in base.items()
    }


def reliability(rng, n, spread):
    """15 bars; those below the least confidence of seven phases are empty."""
    bins = []
    for k in range(15):
        low, high = k / 15, (k + 1) / 15
        if k < 3:
            bins.append({"low": low, "high": high, "confidence": "NaN", "accuracy": "NaN", "count": 0})
            continue
        middle = (low + high) / 2
        accuracy = float(np.clip(middle - spread * (1 - middle) + rng.normal(0, 0.02), 0, 1))
        bins.append(
            {"low": low, "high": high, "confidence": middle, "accuracy": accuracy, "count": int(n * (k - 2) / 78)}
        )
    return {"bins": bins, "ece": float(spread / 3), "n": n}


def made_deviations(cases):
    misses = [
        {"case": c["name"], **{key: e[key] for key in ("kind", "subject", "onset_s", "end_s")}}
        for c in cases
        for e in c["events"]
        if not any(a["matched"] for a in c["advisories"])
    ]
    false = [
        {"case": c["name"], **{key: a[key] for key in ("kind", "subject", "priority", "at_s")}}
        for c in cases
        for a in c["advisories"]
        if not a["matched"]
    ]
    true = sum(len(c["events"]) for c in cases)
    found = true - len(misses)
    held = [(0.0, 0.9), (1.0, 0.9), (2.0, 0.88), (4.0, 0.75), (8.0, 0.25), (16.0, 0.0)]
    curve = [
        {
            "threshold": t,
            "what": f"held for {t:g} s",
            "family": "held",
            "sensitivity": share,
            "false_per_hour": max(0.0, 2.4 - 0.9 * t),
            "operating": t == 0,
        }
        for t, share in held
    ] + [
        {
            "threshold": float(k),
            "what": f"announced with certainty {band} or more",
            "family": "certainty",
            "sensitivity": 0.9 - 0.2 * k,
            "false_per_hour": 2.4 - 0.9 * k,
            "operating": k == 0,
        }
        for k, band in enumerate(("low", "medium", "high"))
    ]
    return {
        "protocol": "events within [onset - 2 s, end + 10 s], one to one, by kind",
        "nan_policy": "a miss has an infinite delay; no sensitivity without deviations, no precision without any",
        "version": VERSION,
        "cases": len(cases),
        "deviations": true,
        "clean_hours": sum(c["duration_s"] for c in cases if not c["events"]) / 3600,
        "sensitivity": interval(found / true, 0.18),
        "precision": interval(found / (found + len(false)), 0.2),
        "f1": interval(2 * found / (found + len(false) + true), 0.15),
        "delay_median_s": 2.6,
        "delay_p95_s": "Inf",
        "false_per_hour": {"high": interval(0.0, 0.0, 16), "medium": interval(2.4, 2.0, 16)},
        "by_kind": [
            {
                "kind": "order",
                "true": 4,
                "found": 4,
                "advisories": 4,
                "false": 0,
                "sensitivity": 1.0,
                "delay_median_s": 2.1,
            },
            {
                "kind": "tool-mismatch",
                "true": 4,
                "found": 2,
                "advisories": 5,
                "false": 3,
                "sensitivity": 0.5,
                "delay_median_s": "Inf",
            },
        ],
        "misses": misses,
        "false": false,
        "curve": curve,
    }


def group_row(name, estimate, cases):
    enough = cases >= 20
    return {
        "group": name,
        "cases": cases,
        "events": None,
        "verdict": "sufficient" if enough else "insufficient",
        "interval": interval(estimate, 1.6, cases) if enough else None,
    }


def made_study(**changes):
    rng = np.random.default_rng(7)
    cases = [made_case(rng, k) for k in range(24)]
    frames = sum(c["frames"] for c in cases)
    counts = (np.diag(rng.integers(1500, 9000, 7)) + rng.integers(0, 180, (7, 7))).tolist()
    predictors = {"committed": 86.2, "network": 84.9, "clock": 31.0, "clock of known length": 66.5}
    conventions = ("strict accuracy", "strict jaccard", "per-phase jaccard", "pooled jaccard", "official jaccard")
    ranking = [
        {
            "predictor": name,
            "values": {c: value + (3.0 * (c == "official jaccard") * (name == "network")) for c in conventions},
            "ranks": {c: k + 1 for c in conventions},
        }
        for k, (name, value) in enumerate(predictors.items())
    ]
    ranking[0]["ranks"]["official jaccard"], ranking[1]["ranks"]["official jaccard"] = 2, 1
    study = {
        "schema": 1,
        "software": {"name": "surgical_ml", "version": VERSION},
        "model": {"name": "cholecystectomy", "version": "1", "sha256": "aa" * 32},
        "config_sha256": "bb" * 32,
        "protocol": {"name": "cholecystectomy", "sha256": "cc" * 32},
        "engine": "onnxruntime",
        "platform": "2 cores, x86_64, Linux, Python 3.11",
        "data": {"labels": "data", "cases": len(cases), "frames": frames},
        "mode": "throughput",
        "fps": FPS,
        "nan_policy": STRICT,
        "phases": list(PHASES),
        "tool_names": list(TOOLS),
        "notes": [
            "The cases are synthetic: no number here says how the module does on a patient.",
            "No latency: measured in the real-time mode only.",
        ],
        "cases": cases,
        "conventions": made_conventions(),
        "per_phase": [
            {
                "phase": name,
                "convention": "strict",
                "precision": 92.0 - k,
                "recall": 91.0 - k,
                "jaccard": 86.0 - 2 * k,
                "f1": 91.5 - k,
                "cases": 24,
            }
            for k, name in enumerate(PHASES)
        ],
        "confusion": {
            "counts": [[*row, 40] for row in counts],
            "rows": "truth",
            "columns": "prediction",
            "row_names": list(PHASES),
            "column_names": [*PHASES, "no answer"],
        },
        "ranking": ranking,
        "ranking_flips": ["network is ahead of committed by official jaccard, behind it by strict jaccard."],
        "segments": identity("segmental")
        | {
            "edit": interval(91, 2),
            "f1@10": interval(93, 2),
            "f1@25": interval(88, 2),
            "f1@50": interval(81, 3),
            "over_segmentation": interval(1.18, 0.05),
            "transition_latency": {
                "transitions": 144,
                "median_s": 2.4,
                "p90_s": 6.8,
                "misses": 2,
                "false_starts": 11,
                "hold_s": 2.0,
            },
        },
        "calibration": identity("calibration")
        | {
            "boundary": reliability(rng, 9_000, 0.4),
            "interior": reliability(rng, 27_000, 0.05),
            "all": reliability(rng, 36_000, 0.12),
            "classwise_ece": 0.02,
            "brier": 0.11,
            "nll": 0.25,
            "aurc": 0.021,
            "risk@80": 0.015,
            "risk@90": 0.03,
        },
        "deviations": made_deviations(cases),
        "tools": identity("video-wise average precision")
        | {
            "unit": "percent",
            "map": {"mean": 96.1, "sd": 2.0, "sd_over": "classes", "n": 7},
            "map_all_frames": {"mean": 95.0, "sd": 2.4, "sd_over": "classes", "n": 7},
            "interval": interval(96.1, 0.8),
            "classes": [{"class": name, "ap": 98.0 - k, "ap_all_frames": 97.0 - k} for k, name in enumerate(TOOLS)],
        },
        "tips": identity("PCK at 5% of the diagonal")
        | {
            "pck": {"mean": 93.0, "sd": 3.0, "sd_over": "cases", "n": 24, "worst": 84.0, "cvar10": 86.0},
            "interval": interval(93.0, 1.2),
            "median_px": 3.1,
            "truths": 61_000,
            "missing": 2_300,
            "extra": 900,
        },
        "segmentation": None,
        "progress": identity("progress MAE")
        | {
            "unit": "share of 1",
            "mae": {"mean": 0.06, "sd": 0.02, "sd_over": "cases", "n": 24, "worst": 0.12, "cvar10": 0.11},
            "clock_mae": {"mean": 0.42, "sd": 0.03, "sd_over": "cases", "n": 24, "worst": 0.45, "cvar10": 0.44},
        },
        "out_of_body": identity("out of body")
        | {
            "auroc": "NaN",
            "recall": 0.97,
            "leaked_s": {"mean": 0.3, "sd": 0.2, "sd_over": "cases", "n": 24, "worst": 1.4, "cvar10": 1.1},
        },
        "latency": None,
        "throughput": {"frames_per_s": 48.2, "device": "2 cores, x86_64, Linux, Python 3.11"},
        "subgroups": [
            {
                "by": "smoke",
                "of": "frames",
                "statistic": "accuracy",
                "overall": 93.1,
                "rows": [group_row("absent", 93.9, 24), group_row("present", 84.0, 12)],
            },
            {
                "by": "site",
                "of": "cases",
                "statistic": "strict jaccard",
                "overall": 86.2,
                "rows": [group_row("A", 87.0, 21), group_row("B", 71.3, 20)],
            },
            {
                "by": "case length",
                "of": "cases",
                "statistic": "strict jaccard",
                "overall": 86.2,
                "rows": [group_row(g, 86.0, 8) for g in ("short", "middle", "long")],
            },
        ],
        "gate": {
            "verdict": "blocked",
            "worst": "site: B",
            "drop": 14.9,
            "largest_drop": 5.0,
            "insufficient": ["smoke: present", *(f"case length: {g}" for g in ("short", "middle", "long"))],
        },
        "worst": [
            {
                "case": "case00001",
                "at_s": 61.2,
                "index": 306,
                "why": "18 s of ClippingCutting shown as CalotTriangleDissection",
                "image": None,
            }
        ],
        "mean_worst": {
            "accuracy": {"mean": 93.1, "worst": 80.4, "cvar10": 82.3},
            "jaccard": {"mean": 86.2, "worst": 72.4, "cvar10": 74.3},
        },
    }
    assert changes.keys() <= study.keys(), f"no such section: {sorted(changes.keys() - study.keys())}"
    return study | changes


LATENCY = {
    "cases": 24,
    "frames": 36_000,
    "device": "2 cores, x86_64, Linux, Python 3.11",
    "p50_ms": 14.2,
    "p95_ms": 18.9,
    "p99_ms": 22.4,
    "max_ms": 41.0,
    "histogram": [[0.0, 5.0, 0], [5.0, 10.0, 2_000], [10.0, 15.0, 24_000], [15.0, 20.0, 8_500], [20.0, 45.0, 1_500]],
    "drops": 14,
    "age_ms": {"p50": 14.2, "p99": 24.0, "max": 80.0},
    "stages_ms": {"decode": {"p50": 3.0, "p99": 5.0}, "network": {"p50": 9.0, "p99": 13.0}},
}
"""The section that only the real-time mode has: `made_study(mode="realtime", latency=LATENCY, throughput=None)`."""
