"""The math verifier: is the completion's final answer mathematically the reference?

extraction, boxes, statements,          where the answer is
conclusions, extracted
normal_form, rationals                  one spelling; numbers as written
lexer, cursor, atoms, brackets, parser  LaTeX and plain text to `expression`
answers, units, words, prose, reading   lists, labels, units and text around it
phrases, sentences                      sets and numbers in words; texts that say the same
values, functions, evaluate             exact and high-precision arithmetic, bounded
identity, scalars                       equality of values, and the policies on them
preparation, ambiguities,               one form for notations of one thing
integer_sets
structures, members, labels,            equality of lists, tuples, sets, intervals,
equations, regions, families,           equations, inequalities, parametric solutions,
congruences                             residue classes
symbolic                                SymPy, on demand and under a budget
comparison                              the tiers in order
reference, policy, limits, scorer       the scorer `math`
"""

from verifiers.math_equivalence.scorer import MathEquivalence

__all__ = ["MathEquivalence"]
