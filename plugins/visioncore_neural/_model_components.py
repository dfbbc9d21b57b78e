"""The parts of an encoding model that this plugin provides, by kind. Torch-free."""

from __future__ import annotations

from visioncore_engine import Component

__all__ = ["COMPONENTS"]

_OPTIONS = "visioncore_neural.options"

COMPONENTS: dict[str, tuple[Component, ...]] = {
    "model": (
        Component(
            name="encoder",
            summary="adapter and readout per recording around one shared core; predicts rates",
            options=f"{_OPTIONS}.model:EncoderOptions",
            build="visioncore_neural.models.encoder:Encoder",
        ),
        Component(
            name="ln",
            summary="a linear filter per unit and a nonlinearity: the baseline of deeper models",
            options=f"{_OPTIONS}.model:LNOptions",
            build="visioncore_neural.models.ln:LN",
        ),
        Component(
            name="glm",
            summary="linear filters per unit over frames, side inputs and earlier responses, and a nonlinearity",
            options=f"{_OPTIONS}.model:GLMOptions",
            build="visioncore_neural.models.ln:LN",
        ),
    ),
    "adapter": (
        Component(
            name="affine",
            summary="learned Gaussian blur and affine resampling of each recording's frames",
            options=f"{_OPTIONS}.adapter:AffineOptions",
            build="visioncore_neural.adapters.affine:Affine",
        ),
    ),
    "stage": (
        Component(
            name="learnable_temporal",
            summary="temporal filters at every pixel",
            options=f"{_OPTIONS}.stage:LearnableTemporalOptions",
            build="visioncore_neural.stages.learnable_temporal:LearnableTemporal",
        ),
        Component(
            name="temporal_basis",
            summary="a fixed temporal basis at every pixel: single frames and raised cosines",
            options=f"{_OPTIONS}.frontend:TemporalBasisOptions",
            build="visioncore_neural.stages.temporal_basis:TemporalBasis",
        ),
        Component(
            name="dynamical_adaptation",
            summary="gain control by the recent past at every pixel",
            options=f"{_OPTIONS}.frontend:DynamicalAdaptationOptions",
            build="visioncore_neural.stages.dynamical_adaptation:DynamicalAdaptation",
        ),
        Component(
            name="conv3d",
            summary="a plain core: convolutions over time and space, causal in time",
            options=f"{_OPTIONS}.stage:Conv3dOptions",
            build="visioncore_neural.stages.conv3d:Conv3d",
        ),
        Component(
            name="resnet3d",
            summary="residual blocks over time and space, causal in time",
            options=f"{_OPTIONS}.stage:Resnet3dOptions",
            build="visioncore_neural.stages.resnet3d:Resnet3d",
        ),
        Component(
            name="densenet3d",
            summary="layers over time and space that each append their channels, causal in time",
            options=f"{_OPTIONS}.stage:Densenet3dOptions",
            build="visioncore_neural.stages.densenet3d:Densenet3d",
        ),
        Component(
            name="visioncore",
            summary="frontend and convolutions of a VisionCore model, for imported weights",
            options=f"{_OPTIONS}.old_core:OldCoreOptions",
            build="visioncore_neural.stages.old_core:OldCore",
        ),
        Component(
            name="conv_gru",
            summary="convolutional gated recurrent unit",
            options=f"{_OPTIONS}.recurrent:ConvGRUOptions",
            build="visioncore_neural.stages.conv_gru:ConvGRU",
        ),
        Component(
            name="gru",
            summary="gated recurrent unit at every pixel, or over whole frames",
            options=f"{_OPTIONS}.recurrent:GRUOptions",
            build="visioncore_neural.stages.sequence:GRU",
        ),
        Component(
            name="lstm",
            summary="long short-term memory at every pixel, or over whole frames",
            options=f"{_OPTIONS}.recurrent:LSTMOptions",
            build="visioncore_neural.stages.sequence:LSTM",
        ),
    ),
    "modulator": (
        Component(
            name="film",
            summary="scales and shifts channels by side inputs; the identity at the start",
            options=f"{_OPTIONS}.modulator:FilmOptions",
            build="visioncore_neural.modulators.film:Film",
        ),
        Component(
            name="concat",
            summary="appends an embedding of side inputs to the channels",
            options=f"{_OPTIONS}.modulator:ConcatOptions",
            build="visioncore_neural.modulators.concat:Concat",
        ),
        Component(
            name="chain",
            summary="modulators one after another",
            options=f"{_OPTIONS}.modulator:ChainOptions",
            build="visioncore_neural.modulators.chain:Chain",
        ),
        Component(
            name="gain",
            summary="scales channels by side inputs between two bounds; the identity at the start",
            options=f"{_OPTIONS}.modulator:GainOptions",
            build="visioncore_neural.modulators.gain:Gain",
        ),
        Component(
            name="shifter",
            summary="shifts features by eye position; the identity at the start",
            options=f"{_OPTIONS}.modulator:ShifterOptions",
            build="visioncore_neural.modulators.shifter:Shifter",
        ),
        Component(
            name="conv_gru",
            summary="convolutional gated recurrent unit over features and side inputs",
            options=f"{_OPTIONS}.modulator:ConvGRUModulatorOptions",
            build="visioncore_neural.modulators.conv_gru:ConvGRUModulator",
        ),
        Component(
            name="predictive_coding",
            summary="features minus their prediction from the past and side inputs, with an auxiliary loss",
            options=f"{_OPTIONS}.modulator:PredictiveCodingOptions",
            build="visioncore_neural.modulators.predictive_coding:PredictiveCoding",
        ),
    ),
    "readout": (
        Component(
            name="gaussian",
            summary="a Gaussian window in space and channel weights per unit",
            options=f"{_OPTIONS}.readout:GaussianOptions",
            build="visioncore_neural.readouts.gaussian:Gaussian",
        ),
        Component(
            name="gaussian_mixture",
            summary="several Gaussian windows in space and channel weights per unit",
            options=f"{_OPTIONS}.readout:GaussianMixtureOptions",
            build="visioncore_neural.readouts.gaussian_mixture:GaussianMixture",
        ),
        Component(
            name="factorized",
            summary="a free mask in space and channel weights per unit",
            options=f"{_OPTIONS}.readout:FactorizedOptions",
            build="visioncore_neural.readouts.factorized:Factorized",
        ),
        Component(
            name="pooled",
            summary="channel weights per unit over the spatial average",
            options=f"{_OPTIONS}.readout:PooledOptions",
            build="visioncore_neural.readouts.pooled:Pooled",
        ),
    ),
    "loss": (
        Component(
            name="poisson",
            summary="Poisson negative log-likelihood of counts or rates",
            options=f"{_OPTIONS}.loss:PoissonOptions",
            build="visioncore_neural.losses.poisson:Poisson",
        ),
        Component(
            name="gaussian",
            summary="squared error of responses, over a fixed variance per unit",
            options=f"{_OPTIONS}.loss:GaussianOptions",
            build="visioncore_neural.losses.gaussian:Gaussian",
        ),
        Component(
            name="bernoulli",
            summary="Bernoulli negative log-likelihood of whether there was a response",
            options=f"{_OPTIONS}.loss:BernoulliOptions",
            build="visioncore_neural.losses.bernoulli:Bernoulli",
        ),
        Component(
            name="negative_binomial",
            summary="negative binomial negative log-likelihood of counts, with a fixed or learned dispersion",
            options=f"{_OPTIONS}.loss:NegativeBinomialOptions",
            build="visioncore_neural.losses.negative_binomial:NegativeBinomial",
        ),
    ),
    "metric": (
        Component(
            name="bits_per_spike",
            summary="log-likelihood gain over the unit's mean rate, in bits per spike",
            options=f"{_OPTIONS}.metric:BitsPerSpikeOptions",
            build="visioncore_neural.metrics.bits_per_spike:BitsPerSpike",
            logs=(
                "bits_per_spike",
                "bits_per_spike_median",
                "bits_per_spike_clamped",
                "bits_per_spike_positive",
                "bits_per_spike_scored",
            ),
        ),
        Component(
            name="single_trial_correlation",
            summary="correlation of predicted rates with single responses",
            build="visioncore_neural.metrics.correlation:SingleTrialCorrelation",
            logs=("single_trial_correlation", "single_trial_correlation_median", "single_trial_correlation_scored"),
        ),
        Component(
            name="correlation_to_average",
            summary="correlation of predicted rates with responses averaged over repeats",
            build="visioncore_neural.metrics.correlation:CorrelationToAverage",
            logs=("correlation_to_average", "correlation_to_average_median", "correlation_to_average_scored"),
        ),
        Component(
            name="feve",
            summary="fraction of the explainable variance of repeated responses that is explained",
            options=f"{_OPTIONS}.metric:FEVEOptions",
            build="visioncore_neural.metrics.explained:FEVE",
            logs=("feve", "feve_median", "feve_scored", "fev"),
        ),
        Component(
            name="oracle",
            summary="correlation of single responses with the other repeats: what the recording allows",
            build="visioncore_neural.metrics.explained:Oracle",
            logs=("oracle", "oracle_median", "oracle_scored"),
        ),
        Component(
            name="cc_abs",
            summary="correlation of average prediction and average response, the numerator of cc_norm",
            build="visioncore_neural.metrics.power:CCAbs",
            logs=("cc_abs", "cc_abs_median", "cc_abs_scored"),
        ),
        Component(
            name="cc_max",
            summary="correlation to the average that a model without error would reach, from the signal power",
            build="visioncore_neural.metrics.power:CCMax",
            logs=("cc_max", "cc_max_median", "cc_max_scored"),
        ),
        Component(
            name="cc_norm",
            summary="cc_abs over cc_max: correlation to the average, corrected for the noise of the responses",
            options=f"{_OPTIONS}.metric:CCNormOptions",
            build="visioncore_neural.metrics.power:CCNorm",
            logs=("cc_norm", "cc_norm_median", "cc_norm_scored"),
        ),
    ),
}
