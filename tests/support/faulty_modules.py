"""Faulty adapters, stages, modulators, readouts and models. Each is a fault that some system had, or could have."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from visioncore_common.cnn import CNN
from visioncore_engine.contracts import Batch
from visioncore_neural.adapters.affine import Affine
from visioncore_neural.models.encoder import Encoder
from visioncore_neural.modulators.concat import Concat
from visioncore_neural.modulators.film import Film
from visioncore_neural.readouts.factorized import Factorized
from visioncore_neural.readouts.gaussian import Gaussian
from visioncore_neural.readouts.pooled import Pooled
from visioncore_neural.stages.conv3d import Conv3d
from visioncore_neural.stages.conv_gru import ConvGRU
from visioncore_neural.stages.densenet3d import Densenet3d
from visioncore_neural.stages.learnable_temporal import LearnableTemporal
from visioncore_neural.stages.old_core import OldCore
from visioncore_neural.stages.resnet3d import Resnet3d


class SigmaWithoutGradient(Affine):
    """The blur's width is taken by `.item()`, so that what is documented as learned never is."""

    def kernel(self):
        sigma = float(self.log_sigma.detach().exp())
        return (-0.5 * (self._taps.to(self.theta) / sigma) ** 2).softmax(dim=0)


class EvenBlur(Affine):
    """A kernel of even length for an odd option: the picture loses a pixel and moves."""

    def forward(self, inputs):
        kernel = torch.ones(2, dtype=inputs.dtype) / 2
        return super().forward(
            nn.functional.conv3d(inputs.flatten(0, 1)[:, None], kernel[None, None, None, None])[:, 0].unflatten(
                0, inputs.shape[:2]
            )
        )[..., :-1]


class ShapeOfTheFirstGroup(Affine):
    """Every group keeps its own size: a shared core fits one of them."""

    def __init__(self, options, facts):
        super().__init__(options.model_copy(update={"grid_size": facts.in_shape[1:]}), facts)


class NewestFirst(LearnableTemporal):
    """Windows are read newest frame first, as another system stored them."""

    def forward(self, features):
        return super().forward(features.flip(2))


class KernelsOfATemporary(LearnableTemporal):
    """The chosen start is written into a temporary tensor: kernels stay random whatever `init` says."""

    def __init__(self, options, facts):
        super().__init__(options.model_copy(update={"init": "random"}), facts)


class LazyGRU(ConvGRU):
    """A layer is made in the first call: no optimizer knows its weights, and they do not load."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.late = None

    def forward(self, features):
        if self.late is None:
            self.late = nn.Conv3d(features.shape[1], features.shape[1], 1).to(features)
        return super().forward(self.late(features))


class PaddedInTime(Conv3d):
    """Same padding in time: the last frames see zeros where frames to come would be, and all of them one too late."""

    def forward(self, features):
        return super().forward(nn.functional.pad(features, (0, 0, 0, 0, 0, 1)))[:, :, 1:]


class HistoryTooShort(Conv3d):
    """Windows are checked for fewer frames than they serve."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.history -= 1

    def forward(self, features):
        return super().forward(nn.functional.pad(features, (0, 0, 0, 0, 1, 0), mode="replicate"))


class HistoryTooLong(Conv3d):
    """It declares more frames than it looks at, and throws the first outputs away."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.history += 2

    def forward(self, features):
        return super().forward(features)[:, :, 2:]


class NormOverTime(Resnet3d):
    """Group normalisation over all frames of a window: a prediction depends on the window's length."""

    def forward(self, features):
        output = super().forward(features)
        return nn.functional.group_norm(output, 1)


class BatchNormUnsaid(Resnet3d):
    """Statistics of the batch, with padded and masked windows in them, and not a word of it."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.norm = nn.BatchNorm3d(self.out_shape[0])

    def forward(self, features):
        return self.norm(super().forward(features))


class DropoutInEvaluation(Conv3d):
    """Dropout that never ends: `F.dropout` without `self.training`."""

    def forward(self, features):
        return nn.functional.dropout(super().forward(features), 0.5)


class ConstantOutsideTheState(Conv3d):
    """A random projection kept as a plain attribute: no checkpoint has it."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.projection = torch.randn(1, self.out_shape[0], 1, 1, 1)

    def forward(self, features):
        return super().forward(features) * self.projection.to(features)


class AlwaysInSinglePrecision(Conv3d):
    """Rounds to float32 on its way, whatever the run says."""

    def forward(self, features):
        return super().forward(features).float().to(features)


class ScaleIsNotOne(Film):
    """`scale = 1 at the start` by weight 1 and bias 0: the scale is the sum of the encoded behavior."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        with torch.no_grad():
            self.perceptron.output.weight.fill_(1.0)
            self.perceptron.output.bias.zero_()


class SkippedWithoutBehavior(Film):
    """Where behavior is missing the modulator is skipped without a word."""

    def forward(self, features, side):
        return super().forward(features, side) if side else features


class OneFrameLeft(Film):
    """Only the last frame comes out, although the contract says T."""

    def forward(self, features, side):
        return super().forward(features, side)[:, :, -1:]


class NextFramesBehavior(Film):
    """The side input is shifted by one: a frame is changed by what comes after it."""

    def forward(self, features, side):
        return super().forward(features, {name: value.roll(-1, dims=1) for name, value in side.items()})


class BehaviorDetached(Concat):
    """Side inputs are detached with the features on their way: what came before never learns."""

    def forward(self, features, side):
        return super().forward(features.detach(), side)


class BuiltWithoutSides(Concat):
    """Built where no group has a side input: it modulates by nothing."""

    def __init__(self, options, facts):
        side = facts.side or dict.fromkeys(options.inputs, 1)
        super().__init__(options, dataclasses.replace(facts, side=side))


class NonlinearityInTheReadout(Pooled):
    """A softplus in the readout and another in the model: the start at the mean rates is lost."""

    def forward(self, features):
        return nn.functional.softplus(super().forward(features))


class LastFrameOnly(Pooled):
    """Reads the last frame alone."""

    def forward(self, features):
        return super().forward(features[:, :, -1:])


class ColumnsMixed(Gaussian):
    """Windows are normalised over units instead of pixels: one unit's window depends on the others'."""

    def mask(self):
        dx = self.x[None, None, :] - self.mean[:, 0, None, None]
        dy = self.y[None, :, None] - self.mean[:, 1, None, None]
        distance = (dx / self.std[:, 0, None, None]) ** 2 + (dy / self.std[:, 1, None, None]) ** 2
        return (-distance / 2).softmax(dim=0)


class OneForAll(Gaussian):
    """Read together, all recordings are read by the first one's readout."""

    @classmethod
    def together(cls, readouts, features, sizes):
        return Gaussian.together([readouts[0]] * len(readouts), features, sizes)


class EqualSharesOnly(Gaussian):
    """Read together, every recording gets as many windows as another."""

    @classmethod
    def together(cls, readouts, features, sizes):
        return Gaussian.together(readouts, features, [len(features) // len(sizes)] * len(sizes))


class WindowsDetached(Gaussian):
    """Read together, features get no gradient."""

    @classmethod
    def together(cls, readouts, features, sizes):
        return Gaussian.together(readouts, features.detach(), sizes)


class MasksOverTheBatch(Factorized):
    """Features are normalised over the windows of the batch: what is predicted depends on who came along."""

    def forward(self, features):
        return super().forward(features - features.mean(dim=0, keepdim=True))


class HistoryOfOneWindow(OldCore):
    """Says that it needs no earlier frames, as a model does whose windows come cut already."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.history -= 1


class WindowsLeaned(OldCore):
    """Statistics of all windows of the batch, where those of one were meant."""

    def forward(self, features):
        output = super().forward(features)
        return output / (output.square().mean() + 1e-5).sqrt()


class DenseOverTime(Densenet3d):
    """Normalises over all frames of a window: a prediction depends on the window's length."""

    def forward(self, features):
        return nn.functional.group_norm(super().forward(features), 1)


class HeadsByPosition(Encoder):
    """Heads are keyed by their place in the list: another order of sessions gives them to other sessions."""

    def __init__(self, options, facts):
        self._names = [group.name for group in facts.groups]
        renamed = tuple(dataclasses.replace(group, name=f"group{place}") for place, group in enumerate(facts.groups))
        super().__init__(options, dataclasses.replace(facts, groups=renamed))

    def forward(self, batch):
        places = [f"group{self._names.index(group.name)}" for group in batch.groups]
        return super().forward(
            Batch([dataclasses.replace(group, name=name) for group, name in zip(batch.groups, places, strict=True)])
        )


class GroupsMixed(Encoder):
    """Features are centred over all windows of the micro-batch: which sessions are in it shows."""

    def _features(self, batch):
        features, auxiliary = super()._features(batch)
        return features - features.mean(0, keepdim=True), auxiliary


class MaskedFramesDropped(Encoder):
    """Predictions are multiplied by the mask, so that the model knows what will count."""

    def forward(self, batch):
        outputs = super().forward(batch)
        for output, group in zip(outputs, batch.groups, strict=True):
            for task in output:
                mask = group.mask[:, -output[task].shape[1] :].to(output[task])
                output[task] = output[task] * torch.nn.functional.pad(
                    mask, (0, 0, output[task].shape[1] - mask.shape[1], 0)
                )
        return outputs


class ForgotBurnIn(Encoder):
    """The history of the recurrent part is left out: windows are too short for what is cropped from them."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.history -= 2


class BatchSoftmax(CNN):
    """A softmax over the wrong axis, the batch: an example's output depends on the others."""

    def forward(self, batch):
        return [{task: value.softmax(dim=0) for task, value in output.items()} for output in super().forward(batch)]
