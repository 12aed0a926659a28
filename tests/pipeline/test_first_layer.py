"""The first layer in the state of a network: where it is found, what counts with it, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vidprep.pipeline.first_layer import IMAGENET_MEAN, IMAGENET_STD, UnsuitableError, find_first_layer

torch = pytest.importorskip("torch", reason="torch is not installed")


def tensor(*shape: int, low: float = -1.0, high: float = 1.0) -> Any:
    numbers = np.random.default_rng(sum(shape)).uniform(low, high, shape)
    return torch.tensor(numbers, dtype=torch.float32)


def normalisation(name: str, channels: int = 4) -> dict[str, Any]:
    return {
        f"{name}.weight": tensor(channels),
        f"{name}.bias": tensor(channels) + 1,
        f"{name}.running_mean": tensor(channels) - 1,
        f"{name}.running_var": tensor(channels, low=0.5, high=3),
    }


RESNET = {
    "conv1.weight": tensor(4, 3, 7, 7),
    **normalisation("bn1"),
    "layer1.0.conv1.weight": tensor(4, 4, 3, 3),
    "layer1.0.downsample.0.weight": tensor(4, 3, 1, 1),
}


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.net."])
@pytest.mark.parametrize(
    "state",
    [
        RESNET,
        {"conv1.0.weight": RESNET["conv1.weight"], **normalisation("conv1.1")},
        {"conv1.0.weight": RESNET["conv1.weight"], **normalisation("bn1")},
        {"features.0.weight": RESNET["conv1.weight"], **normalisation("features.1"), "fc.weight": tensor(5, 4)},
        {"stem.conv.weight": RESNET["conv1.weight"], **normalisation("stem.bn"), "b.weight": tensor(4, 4, 3, 3)},
    ],
    ids=["resnet", "sequence", "sequence-of-one", "vgg", "stem"],
)
def test_is_found_with_its_normalisation(state: dict[str, Any], prefix: str) -> None:
    layer = find_first_layer({prefix + name: value for name, value in state.items()})
    norm = normalisation("bn1")
    scale = norm["bn1.weight"].double() / torch.sqrt(norm["bn1.running_var"].double() + 1e-5)
    np.testing.assert_allclose(layer.weight, RESNET["conv1.weight"].numpy() * scale[:, None, None, None].numpy(), 1e-6)
    shift = norm["bn1.bias"].double() - norm["bn1.running_mean"].double() * scale
    np.testing.assert_allclose(layer.bias, shift.numpy(), rtol=1e-6)
    assert (layer.mean, layer.std) == (IMAGENET_MEAN, IMAGENET_STD)


def test_without_normalisation_the_weights_are_as_they_are() -> None:
    state = {"conv1.weight": tensor(4, 3, 5, 5).half(), "conv1.bias": tensor(4).bfloat16()}
    layer = find_first_layer(state)
    np.testing.assert_array_equal(layer.weight, state["conv1.weight"].float().numpy())
    np.testing.assert_array_equal(layer.bias, state["conv1.bias"].float().numpy())
    assert layer.channels == 4
    assert layer.weight.dtype == layer.bias.dtype == np.float32


def test_a_bias_is_normalised_too() -> None:
    bias = tensor(4)
    with_bias = find_first_layer({**RESNET, "conv1.bias": bias})
    without = find_first_layer(RESNET)
    scale = without.weight[:, 0, 0, 0] / RESNET["conv1.weight"][:, 0, 0, 0].numpy()
    np.testing.assert_allclose(with_bias.bias, without.bias + bias.numpy() * scale, rtol=1e-5)


@pytest.mark.parametrize("place", ["", "net."])
@pytest.mark.parametrize("shape", [(3,), (1, 3, 1, 1)])
def test_mean_and_std_of_the_checkpoint_count(place: str, shape: tuple[int, ...]) -> None:
    colours = {f"{place}mean": torch.full(shape, 0.25), f"{place}std": torch.full(shape, 0.5)}
    layer = find_first_layer({**{f"net.{name}": value for name, value in RESNET.items()}, **colours})
    assert (layer.mean, layer.std) == ((0.25,) * 3, (0.5,) * 3)


def test_of_two_streams_that_of_colours_is_meant() -> None:
    state = {"flow.conv1.weight": tensor(4, 20, 7, 7), "rgb.conv1.weight": tensor(4, 3, 7, 7)}
    np.testing.assert_array_equal(find_first_layer(state).weight, state["rgb.conv1.weight"].numpy())


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"fc.weight": tensor(3, 4)}, r"no conv1\.weight of shape \(channels, 3, height, width\)"),
        ({"conv1.weight": tensor(4, 3, 3, 7, 7)}, r"no conv1\.weight of shape"),
        ({"conv1.weight": tensor(4, 1, 7, 7)}, r"conv1\.weight takes 1 channels, and frames have 3"),
        ({"conv1.weight": tensor(4, 20, 7, 7)}, "takes 20 channels"),
        ({"a.weight": tensor(4, 3, 3, 3), "b.weight": tensor(4, 3, 3, 3)}, r"several others .* \(a\.weight, b\.weight"),
        ({"a.conv1.weight": tensor(4, 3, 3, 3), "b.conv1.weight": tensor(4, 3, 3, 3)}, "several first layers"),
        ({"conv1.weight": tensor(4, 3, 3, 3) / 0}, r"conv1\.weight has numbers that are not finite"),
        ({"conv1.weight": tensor(4, 3, 3, 3).int()}, "no plain array of floating point numbers"),
        ({"conv1.weight": torch.zeros(0, 3, 3, 3)}, "no plain array"),
        ({"conv1.weight": tensor(4, 3, 3, 3).to("meta")}, "no plain array"),
        ({**RESNET, "conv1.bias": tensor(5)}, r"conv1\.bias has shape \(5,\) instead of \(4,\)"),
        ({**RESNET, "bn1.running_var": tensor(5)}, r"bn1\.running_var has shape"),
        ({**RESNET, "bn1.running_var": tensor(4) - 2}, "negative"),
        ({"conv1.weight": tensor(4, 3, 3, 3), "bn1.weight": tensor(4)}, "bn1 has no running_mean"),
        ({"conv1.weight": tensor(4, 3, 3, 3), "bn1.running_mean": tensor(4)}, r"no bn1\.running_var"),
        ({**RESNET, "mean": tensor(3, low=0)}, "no std"),
        ({**RESNET, "mean": tensor(2, low=0), "std": tensor(3, low=0)}, "2 and 3 numbers instead of 3"),
        ({**RESNET, "mean": 255 * tensor(3, low=0.1), "std": tensor(3, low=0)}, "not those of colours from 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused(state: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsuitableError, match=words):
        find_first_layer(state)
