"""Linear layers with rounded weights, on the kernels that PyTorch has for them.

Rounding to the nearest, symmetric, one scale for each output: W[o, i] = scale[o] · Q[o, i], Q from -127 to 127 (Jacob
et al. 2018, arXiv:1712.05877, section 2.1 with zero point 0). Inputs rounded token by token as they come: Yao et al.
2022, arXiv:2206.01861, section 4.1.
"""

from __future__ import annotations

import torch
from torch.nn import functional

# PyTorch's int8 kernel reads each weight once for every token. That saves memory traffic with few tokens; with more,
# the float product reads them once in all. Measured with AVX-512: half the time at 16 tokens, as long at 32.
_FEW = 16
_WHOLE = 64  # the kernel reads the inputs of an output in pieces, and past the end if they are no multiple of a piece
_LARGEST = 127


class Int8Linear(torch.nn.Module):
    """A linear layer with weights in 8 bits and inputs in bfloat16.

    The kernel that works on int8 weights directly is fast in bfloat16 only: in float32 it is thirty times slower than
    the float product.

    Args:
        weight: Weights, shape (outputs, inputs), floating.
        bias: Shape (outputs,), or None.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.rounded: torch.Tensor
        self.scale: torch.Tensor
        # The kernel wants the scale in bfloat16. The weights are rounded by that scale, so its rounding is no error.
        scale = _scale(weight.detach()).to(torch.bfloat16)
        self.register_buffer("rounded", _rounded(weight.detach(), scale.float()))
        self.register_buffer("scale", scale.squeeze(1))
        self.bias = bias

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Outputs, shape (..., outputs), of inputs (..., inputs)."""
        rows = inputs.reshape(-1, inputs.shape[-1]).to(torch.bfloat16)
        if rows.device.type == "cpu" and len(rows) <= _FEW and rows.shape[1] % _WHOLE == 0:
            result = torch._weight_int8pack_mm(rows, self.rounded, self.scale)
        else:
            product = functional.linear(rows.to(inputs.dtype), self.rounded.to(inputs.dtype))
            result = (product * self.scale).to(torch.bfloat16)  # as the kernel does, so that both ways agree
        return _shaped(result, self.bias, inputs)


class Int8DynamicLinear(torch.nn.Module):
    """A linear layer with weights and inputs in 8 bits; each token's inputs get their own scale. For CPUs.

    Args:
        weight: Weights, shape (outputs, inputs), floating.
        bias: Shape (outputs,), or None.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.rounded: torch.Tensor
        self.scale: torch.Tensor
        scale = _scale(weight.detach())
        self.register_buffer("rounded", _rounded(weight.detach(), scale))
        self.register_buffer("scale", scale.squeeze(1))
        self.bias = bias

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Outputs, shape (..., outputs), of inputs (..., inputs)."""
        rows = inputs.reshape(-1, inputs.shape[-1])
        scale = _scale(rows)
        sums = torch._int_mm(_rounded(rows, scale), self.rounded.t())  # int32, exact
        return _shaped(sums * scale * self.scale, self.bias, inputs)


class InBfloat16(torch.nn.Module):
    """Runs a layer in bfloat16, whatever precision goes around it.

    Args:
        layer: The layer, in bfloat16.
    """

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The layer's outputs, in the precision of the inputs."""
        result: torch.Tensor = self.layer(inputs.to(torch.bfloat16)).to(inputs.dtype)
        return result


def _scale(matrix: torch.Tensor) -> torch.Tensor:
    """What the largest entry of each row is divided by to become 127: shape (rows, 1), float32."""
    largest = matrix.float().abs().amax(1, keepdim=True)
    return largest.clamp(min=1e-30) / _LARGEST  # far from the smallest bfloat16, and a row of zeros stays one


def _rounded(matrix: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """A matrix in steps of the scale, int8."""
    return (matrix.float() / scale).round().clamp(-_LARGEST, _LARGEST).to(torch.int8)


def _shaped(result: torch.Tensor, bias: torch.Tensor | None, inputs: torch.Tensor) -> torch.Tensor:
    """Outputs with the leading dimensions and the precision of the inputs, the bias added."""
    result = result.to(inputs.dtype).view(*inputs.shape[:-1], -1)
    return result if bias is None else result + bias
