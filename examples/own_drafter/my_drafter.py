"""A drafter of your own: whatever the question's options say after the words that were just written."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.speculative.ianvs import SpeculativeModel, register_drafter


@register_drafter("echo")
class Echo:
    """Repeats what followed the last two tokens in the prompt; the latest place wins.

    Args:
        sides: `sides.target` is the cloud's model with its tokenizer, `sides.draft()` loads the draft model.
        length: Most tokens of a draft; every keyword argument is a hyperparameter of the algorithm file.
    """

    def __init__(self, sides, *, length=8):
        self.length = length

    def begin(self, tokens, picker, prompt=None):
        """A query begins: its prompt in the target's tokens."""
        self.prompt, self.picker = list(tokens), picker
        self.text = list(tokens)

    def draft(self, count):
        """Propose up to `count` tokens, or none."""
        first, second = self.text[-2:]
        for place in range(len(self.prompt) - 2, 0, -1):
            if self.prompt[place - 1 : place + 1] == [first, second]:
                return self.picker.certain(self.prompt[place + 1 :][: min(count, self.length)])
        return self.picker.certain([])

    def commit(self, tokens):
        """These tokens stand in the text now, whether they were drafted or not."""
        self.text += tokens

    def retract(self, count):
        """The last tokens that were committed do not stand after all. Without this there is no drafting ahead."""
        del self.text[len(self.text) - count :]

    def end(self):
        """The query is over."""


ClassFactory.register(ClassType.GENERAL, alias="SpeculativeModel")(SpeculativeModel)
