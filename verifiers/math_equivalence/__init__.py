"""The math verifier: is the completion's final answer mathematically the reference?

extraction   where the answer is              normal_form  one spelling
rationals    numbers as written               lexer, parser, brackets, atoms, answers
expression   what was read                    evaluate, values, functions
identity     equality of values               scalars, equations, regions, families,
                                              units, words, structures
comparison   the tiers in order               symbolic     SymPy, on demand
reference    what a reference may look like   scorer       `MathEquivalence`
"""

from verifiers.math_equivalence.scorer import MathEquivalence

__all__ = ["MathEquivalence"]
