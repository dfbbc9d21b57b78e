"""Dynamical adaptation. B windows, C channels, T frames, H, W pixels, K frames of a filter."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import StageFacts
from visioncore_engine.errors import ConfigError, Problem
from visioncore_neural.options.frontend import DynamicalAdaptationOptions

__all__ = ["DynamicalAdaptation"]


class DynamicalAdaptation(nn.Module):
    """A fast response divided by a slow one at every pixel: ``r = alpha y / (1 + beta z)``.

    The stationary form of Clark, Benichou, Meister & Azeredo da Silveira (PLoS Comput. Biol. 2013). With the intensity
    ``s = max(input + offset, 0)``, y and z are s under the filters ``K_y(t) ~ t^order_y exp(-t / tau_y)`` and
    ``K_z = gamma K_y + (1 - gamma) t^order_z exp(-t / tau_z)``, each part brought to sum 1 over the K frames; lags are
    taken at the middle of frames. In a steady light s the response is ``alpha s / (1 + beta s)``.

    Attributes
    ----------
    log_alpha, log_beta, logit_gamma, log_tau_y, log_tau_z
        Scalars; time constants in milliseconds. Parameters where `learn` is on, buffers elsewhere.
    out_shape, history, burn_in
        As every stage.

    Raises
    ------
    ConfigError
        Where the frame duration is not known.
    """

    burn_in = 0

    def __init__(self, options: DynamicalAdaptationOptions, facts: StageFacts) -> None:
        super().__init__()
        if facts.dt is None:
            raise ConfigError(
                Problem(
                    key="tau_y_ms",
                    what="time constants are milliseconds, and these data have no frame duration",
                    todo="choose another stage",
                )
            )
        self.out_shape = facts.in_shape
        self.history = options.kernel_size - 1
        self._offset, self._orders = options.offset, (options.order_y, options.order_z)
        start = {
            "log_alpha": math.log(options.alpha),
            "log_beta": math.log(options.beta),
            "logit_gamma": math.log(options.gamma / (1 - options.gamma)),
            "log_tau_y": math.log(options.tau_y_ms),
            "log_tau_z": math.log(options.tau_z_ms),
        }
        for name, value in start.items():
            if options.learn:
                self.register_parameter(name, nn.Parameter(torch.tensor(value)))
            else:
                self.register_buffer(name, torch.tensor(value))
        lags = (torch.arange(options.kernel_size, dtype=torch.float64).flip(0) + 0.5) * facts.dt * 1000
        self.register_buffer("_lags", lags.to(torch.get_default_dtype()), persistent=False)

    log_alpha: Tensor
    log_beta: Tensor
    logit_gamma: Tensor
    log_tau_y: Tensor
    log_tau_z: Tensor
    _lags: Tensor

    def kernels(self) -> Tensor:
        """Fast and slow filter, (2, K), oldest frame first, each of sum 1."""
        fast, slow = (
            (order * self._lags.log() - self._lags / tau.exp()).softmax(dim=0)
            for order, tau in zip(self._orders, (self.log_tau_y, self.log_tau_z), strict=True)
        )
        return torch.stack([fast, torch.lerp(slow, fast, torch.sigmoid(self.logit_gamma))])

    def forward(self, features: Tensor) -> Tensor:
        """Run the stage: (B, C, T, H, W) -> (B, C, T - history, H, W)."""
        intensity = (features + self._offset).relu()
        alone = intensity.reshape(-1, 1, *features.shape[2:])  # (B C, 1, T, H, W)
        fast, slow = nn.functional.conv3d(alone, self.kernels()[:, None, :, None, None]).unbind(1)
        adapted = self.log_alpha.exp() * fast / (1 + self.log_beta.exp() * slow)
        return adapted.reshape(*features.shape[:2], *adapted.shape[1:])
