"""Ground truth and predictions, read as the field lays them out; whatever is wrong with a file is one clear error."""

from surgical_ml.labels.coco import CocoSet, read_coco
from surgical_ml.labels.dataset import LabelledCase, LabelledFrame, LabelledSet, MaskFile
from surgical_ml.labels.decisions import read_decided_phases, read_decisions
from surgical_ml.labels.files import member, read_json, read_text
from surgical_ml.labels.folders import (
    PHASE_LAYOUTS,
    check_same_cases,
    find_cases,
    natural,
    pair_tracks,
    read_phase_folder,
)
from surgical_ml.labels.gestures import GestureSequence, read_gestures
from surgical_ml.labels.intervals import IntervalLabels, read_multibypass140, sample, sampled_phases
from surgical_ml.labels.layouts import DATASET_LAYOUTS, open_labelled_set
from surgical_ml.labels.masks import (
    IGNORED,
    read_cholecseg8k,
    read_colour_map,
    read_colours,
    read_endovis17,
    read_endovis17_parts,
    read_endovis18,
    read_label_map,
)
from surgical_ml.labels.phase_text import read_phase_text, read_phase_text_as_script
from surgical_ml.labels.scene_sets import (
    read_autolaparo_mask,
    read_autolaparo_masks,
    read_cholecseg8k_set,
    read_endovis17_set,
    read_endovis18_set,
)
from surgical_ml.labels.score_text import ScoreTrack, read_score_matrix, read_tool_text
from surgical_ml.labels.splits import SPLITS, check_splits, split_by_patient
from surgical_ml.labels.track import LabelTrack, check_even, check_rate
from surgical_ml.labels.triplets import (
    TripletPrediction,
    TripletVideo,
    read_cholect50,
    read_label_mapping,
    read_triplet_prediction,
    take_apart,
)
from surgical_ml.labels.vocabulary import CHOLEC80_TOOLS, PHASES, UNDEFINED, Vocabulary
from surgical_ml.labels.workflow_sets import (
    read_autolaparo_set,
    read_case_folders,
    read_cholec80_set,
    read_multibypass140_set,
)

__all__ = [
    "CHOLEC80_TOOLS",
    "DATASET_LAYOUTS",
    "IGNORED",
    "PHASES",
    "PHASE_LAYOUTS",
    "SPLITS",
    "UNDEFINED",
    "CocoSet",
    "GestureSequence",
    "IntervalLabels",
    "LabelTrack",
    "LabelledCase",
    "LabelledFrame",
    "LabelledSet",
    "MaskFile",
    "ScoreTrack",
    "TripletPrediction",
    "TripletVideo",
    "Vocabulary",
    "check_even",
    "check_rate",
    "check_same_cases",
    "check_splits",
    "find_cases",
    "member",
    "natural",
    "open_labelled_set",
    "pair_tracks",
    "read_autolaparo_mask",
    "read_autolaparo_masks",
    "read_autolaparo_set",
    "read_case_folders",
    "read_cholec80_set",
    "read_cholecseg8k",
    "read_cholecseg8k_set",
    "read_cholect50",
    "read_coco",
    "read_colour_map",
    "read_colours",
    "read_decided_phases",
    "read_decisions",
    "read_endovis17",
    "read_endovis17_parts",
    "read_endovis17_set",
    "read_endovis18",
    "read_endovis18_set",
    "read_gestures",
    "read_json",
    "read_label_map",
    "read_label_mapping",
    "read_multibypass140",
    "read_multibypass140_set",
    "read_phase_folder",
    "read_phase_text",
    "read_phase_text_as_script",
    "read_score_matrix",
    "read_text",
    "read_tool_text",
    "read_triplet_prediction",
    "sample",
    "sampled_phases",
    "split_by_patient",
    "take_apart",
]
