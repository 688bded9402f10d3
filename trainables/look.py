"""A first look: what is left of a trial's options when it goes all the way down early (`trainables.repeats`)."""

from dataclasses import replace

from sparsweep.trainables.options import TrialOptions

FEWEST_CUTS = 4


def options_for_a_look(whole: TrialOptions, share: float, batch_size: int | None = None) -> TrialOptions:
    """A share of the epochs, of training and fine-tuning alike, and one way down.

    Where a cut cannot have so little fine-tuning there are fewer cuts, but FEWEST_CUTS. It sets out from the trained
    network: a method that makes weights small as it trains has not had the time to say in so few epochs which ones. How
    many it says, though, and what is denser than that the own cut stands for: on LeNet-300-100 three cuts below it come
    to a hypervolume of .970 after 7 epochs, all seven to that after 10, and to .975 after 11.

    In larger batches an epoch has fewer steps, and takes less time. Rates grow with them, Adam's by the root of the
    ratio (Malladi et al. 2022, arXiv:2205.10287), SGD's by the ratio (Goyal et al. 2017, arXiv:1706.02677). On
    LeNet-300-100 six epochs and two a cut in batches of 256 come to .973 in the time in which three and one of 64 come
    to .970.

    Args:
        share: in (0, 1).
        batch_size: images in a batch; None: as many as in training.
    """

    def shortened(epochs: int) -> int:
        return max(round(share * epochs), 1) if epochs else 0

    tuned = shortened(whole.finetune_epochs)
    cuts = round(whole.cuts * min(share * whole.finetune_epochs / tuned, 1)) if tuned else whole.cuts
    larger = (batch_size or whole.batch_size) / whole.batch_size
    return replace(
        whole, epochs=shortened(whole.epochs), finetune_epochs=tuned, cuts=max(cuts, min(whole.cuts, FEWEST_CUTS)),
        last_finetune_epochs=shortened(whole.last_finetune_epochs), descent_from="below_own", further_descents="",
        batch_size=batch_size or whole.batch_size, finetune_learning_rate=whole.finetune_learning_rate * larger**0.5,
        learning_rate=whole.learning_rate * larger ** (1 if whole.optimizer == "sgd" else 0.5),
    )  # fmt: skip
