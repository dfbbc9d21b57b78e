"""Cases of built-in models and of what they are made of."""

from __future__ import annotations

import dataclasses

from visioncore_engine.contracts import ModelFacts, StageFacts
from visioncore_engine.testing import Case, Given
from visioncore_engine.testing.scenes.flow import FAMILIES, TASK
from visioncore_engine.testing.scenes.model import ModelScene
from visioncore_engine.testing.scenes.stage import StageScene

__all__ = ["CASES"]

CONVOLUTION = {"channels": [4, 2], "kernel_size": [2, 3, 3]}
LAYERS = {
    "num_groups": Given(2, norm="frame_group", num_groups=1),
    "window_power": Given(2.0, window="space", window_power=1.0),
    "norm": "frame_rms",
    "order": ["norm", "convolution", "activation", "dropout", "pool"],
    "sharpness": Given(3.0, activation="bsoftplus", sharpness=1.0),
    "pool": "blur",
    "pool_to": Given([2, 3], pool="adaptive_max", pool_to=[2, 2]),
    "pool_size": Given(3, pool="max", pool_size=2),
    "squeeze": 2,
}
POOLS = {"pool_size": Given(3, pool="max", pool_size=2, channels=[4, 2])}  # of three blocks, the last sees one pixel
RESIDUAL = {
    **LAYERS,
    **POOLS,
    "zero_start": True,
    "activate_sum": False,
    "stride": [2, 1, 1],
}
OLD_CORE = {
    "num_lags": 6,
    "stem": {"channels": 2, "kernel_size": [1, 3, 3], "norm": "pixel_rms", "activation": "elu"},
    "join": "residual",
    "layers": [
        {"channels": 2, "kernel_size": [2, 3, 3], "norm": "window_instance", "activation": "elu"},
        {"channels": 3, "kernel_size": [2, 1, 1], "norm": "window_group", "activation": "elu"},
    ],
}
OLD_CORES = {
    "num_lags": 5,
    "stem": None,
    "join": "plain",
    "layers": [],
    "sum_activation": "softplus",
    "steps": "all",
}
_OLD = "tests/visioncore_neural/test_import_checkpoint.py: the scene's channels are no steps of a window"
OLD_UNIT = {"compat": _OLD, "steps": _OLD}
OLD_STEPS = {"history_is_used": "of the oldest step of a window, the newest frames are no part: as in VisionCore"}
OLD_FRONTEND = "tests/visioncore_neural/test_import_checkpoint.py: it sees one channel, the scene has more"
OLD_UNITS = {"steps": Given(3, compat="visioncore")}
KERNELS = {"bands": 1.0, "window_power": Given(2.0, window="time", window_power=1.0)}
ENCODER = {
    "adapter": {"name": "affine", "grid_size": 5},
    "core": [
        {"name": "learnable_temporal", "kernel_size": 2, "num_channels": 3},
        {"name": "conv3d", "channels": [4], "kernel_size": [2, 3, 3]},
    ],
    "modulator": {"name": "concat", "num_channels": 2, "hidden": [3]},
    "recurrent": [{"name": "conv_gru", "hidden_channels": 3, "burn_in": 2}],
}
BLIND = {"adapter": None, "core": [], "recurrent": [], "readout": "pooled", "stimulus": False}
ENCODER_VARIANTS = {
    "adapter": {"name": "affine", "grid_size": 3},
    "history": {"num_lags": 3, "hidden": [3]},
    "stimulus": Given(False, **{**BLIND, "stimulus": True}),
    "baseline": 0.1,
    "expose": "core.0",
}


class WholeSteps(StageScene):
    """Features whose channels may be those of two or of three steps."""

    def __init__(self, channels: int = 6, height: int = 5, width: int = 6) -> None:
        super().__init__(StageFacts((channels, height, width), 0.01))

    def others(self) -> list[StageScene]:
        return [WholeSteps(12, 7, 5), WholeSteps(6, 6, 8), WholeSteps(18, 1, 1)]


def with_responses(case: Case) -> ModelScene:
    """Groups whose earlier responses are served."""
    del case  # all of them meet the same
    groups = FAMILIES["counts"]()
    specs = (
        dataclasses.replace(spec, side={**spec.side, "previous_responses": spec.targets[TASK].size}) for spec in groups
    )
    return ModelScene(ModelFacts(tuple(specs), 0))


CASES: tuple[Case, ...] = (
    Case("adapter", "affine", options={"grid_size": 4}),
    Case("stage", "conv3d", options=CONVOLUTION, variants=LAYERS),
    Case("stage", "resnet3d", options={**CONVOLUTION, "channels": [4, 2, 2]}, variants=RESIDUAL),
    Case("stage", "densenet3d", options={**CONVOLUTION, "channels": [4, 2, 2]}, variants={**LAYERS, **POOLS}),
    Case("stage", "learnable_temporal", variants=KERNELS),
    Case("stage", "conv_gru", variants=OLD_UNITS, scene=lambda _case: WholeSteps()),
    Case(
        "stage",
        "visioncore",
        options=OLD_CORE,
        variants=OLD_CORES,
        inert={"frontend": OLD_FRONTEND},
        expected=OLD_STEPS,
    ),
    Case(
        "stage",
        "temporal_basis",
        options={"kernel_size": 8, "num_cosines": 2, "peaks_ms": [10.0, 50.0]},
        variants={"offset_ms": 50.0, "peaks_ms": [15.0, 40.0]},
    ),
    Case("stage", "dynamical_adaptation", options={"kernel_size": 4, "tau_y_ms": 10.0, "tau_z_ms": 40.0}),
    Case("model", "cnn", options={"channels": [4, 6]}),
    Case(
        "model",
        "encoder",
        options=ENCODER,
        variants=ENCODER_VARIANTS,
        inert={"expose": "it shows features beside the predictions, which stay"},
        scene=with_responses,
    ),
    Case("model", "ln", options={"num_frames": 3}),
    Case(
        "model",
        "glm",
        options={"num_frames": 3, "num_lags": 2},
        variants={"inputs": ["eyepos"]},
        scene=with_responses,
    ),
    Case("modulator", "concat", variants={"inputs": ["eyepos"]}),
    Case("modulator", "scalar_gain", variants={"side": "eyepos"}),
    Case("modulator", "film", variants={"inputs": ["eyepos"]}),
    Case(
        "modulator",
        "chain",
        options={"parts": ["film", {"name": "predictive_coding", "hidden_channels": 2, "burn_in": 2}]},
        variants={"parts": ["film", "shifter"]},  # the first is the same: the second acts
    ),
    Case("modulator", "gain", variants={"inputs": ["eyepos"]}),
    Case("modulator", "shifter", variants={"inputs": ["behavior"]}),
    Case(
        "modulator",
        "conv_gru",
        options={"hidden_channels": 3, "burn_in": 3},
        variants={"inputs": ["eyepos"]},
        inert=OLD_UNIT,
    ),
    Case(
        "modulator",
        "predictive_coding",
        options={"hidden_channels": 3, "burn_in": 3},
        variants={"inputs": ["eyepos"]},
        inert={"weight": "is how much of its own loss the objective takes, outside the modulator"},
    ),
)
