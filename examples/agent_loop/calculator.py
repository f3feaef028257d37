"""Arithmetic from untrusted text: parsed and walked, never evaluated as Python."""

import ast
import math
import operator
from collections.abc import Callable, Mapping

MAX_CHARACTERS = 200
MAX_BITS = 2_000

Number = int | float

_BINARY: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[Number], Number]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_FUNCTIONS: Mapping[str, Callable[..., Number]] = {
    "abs": abs,
    "max": max,
    "min": min,
    "sqrt": math.sqrt,
}


def calculate(expression: str) -> Number:
    """The value of an expression with + - * / // % **, parentheses, and abs, max, min and sqrt.

    Raises:
        ValueError: it is malformed, holds anything else, is undefined or too large.
    """
    if len(expression) > MAX_CHARACTERS:
        raise ValueError(f"longer than {MAX_CHARACTERS} characters")
    try:
        return _value(ast.parse(expression.strip(), mode="eval").body)
    except SyntaxError as error:
        raise ValueError(f"not an expression: {expression}") from error
    except (ArithmeticError, TypeError) as error:
        raise ValueError(f"cannot be calculated: {error}") from error


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _bounded(number)
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _UNARY:
            return _UNARY[type(sign)](_value(operand))
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _BINARY:
            return _bounded(_BINARY[type(sign)](_value(left), _value(right)))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*map(_value, arguments)))
    raise ValueError(f"not allowed in an expression: {ast.unparse(node)}")


def _power(base: Number, exponent: Number) -> Number:
    # Before it is calculated: the bits of an integer's power are known, and may be more than there is memory.
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > MAX_BITS:
        raise ValueError("the result is too large")
    result: Number | complex = base**exponent
    if isinstance(result, complex):
        raise ValueError("the result is not a real number")  # noqa: TRY004 - the value is wrong, no type of ours
    return _bounded(result)


def _bounded(number: Number) -> Number:
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError("the result is not a finite number")
    if isinstance(number, int) and number.bit_length() > MAX_BITS:
        raise ValueError("the result is too large")
    return number
