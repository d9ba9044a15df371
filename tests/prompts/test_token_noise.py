"""Drawing tokens: the right probabilities, and the same answer for a crop in every batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from c2vl.prompts.engines.captioner import Captioner, CaptionerParams

torch = pytest.importorskip("torch")
TINY = Path(__file__).resolve().parents[2] / "checkpoints/tiny/captioner"


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_with_the_probabilities_of_the_temperature(temperature: float) -> None:
    from c2vl.prompts.engines.token_noise import TokenNoise

    share = torch.tensor([0.6, 0.3, 0.1])
    crops = [{"pixel_values": torch.tensor([float(number)])} for number in range(4000)]
    noise = TokenNoise(crops, temperature)
    logits = share.log().expand(len(crops), 3)
    for _ in range(2):  # each token has its own noise
        drawn = noise(torch.zeros(len(crops), 1), logits).argmax(1)
        expected = share ** (1 / temperature) / (share ** (1 / temperature)).sum()
        found = torch.bincount(drawn, minlength=3) / len(crops)
        # Three standard errors of the largest share.
        np.testing.assert_allclose(found, expected, atol=3 * 0.5 / len(crops) ** 0.5)


def test_a_crop_has_the_same_answer_in_every_batch_and_again() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (90, 50, 3), dtype=np.uint8) for _ in range(4)]
    params = CaptionerParams(
        model=str(TINY), pad_to_square=False, max_new_tokens=48, temperature=1.5
    )
    captioner = Captioner.load(params, "cpu")
    together = captioner(images)
    assert [captioner([image])[0] for image in images] == together
    assert captioner(images[::-1]) == together[::-1]
    assert len({answer.text for answer in together}) == 4
    greedy = Captioner.load(params.model_copy(update={"temperature": 0.0}), "cpu")
    assert greedy(images) != together


def test_the_seed_is_of_the_whole_prepared_crop() -> None:
    from c2vl.prompts.engines.token_noise import seed_of

    one = {"input_ids": torch.tensor([[1, 2]]), "pixel_values": torch.zeros(1, 3, dtype=torch.half)}
    assert seed_of(one) == seed_of(dict(reversed(one.items())))
    assert seed_of(one) != seed_of({**one, "input_ids": torch.tensor([[1, 3]])})
    assert seed_of(one) != seed_of({**one, "pixel_values": torch.ones(1, 3, dtype=torch.half)})


def test_a_temperature_is_in_the_key_only_if_set() -> None:
    params = CaptionerParams(model="any")
    assert "temperature" not in params.in_key()
    assert params.model_copy(update={"temperature": 0.2}).in_key()["temperature"] == 0.2
    with pytest.raises(ValueError, match="temperature"):
        CaptionerParams(model="any", temperature=-1)
