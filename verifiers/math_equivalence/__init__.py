"""The math verifier: is the completion's final answer mathematically the reference?

    completion -> find -> read -> interpret -> compare -> verdict
                              reference ---------^

A room imports those to its left, and `numbers`:

find/       where the answer is: what was announced, boxed, concluded, or is all there is
read/       one spelling; tokens; expressions, structures, units, labels, clauses, words
interpret/  notations that the other side or a condition explains, in the form that is compared
compare/    the tiers in order (`comparison`): values, structures, equations, solutions, residues
numbers/    values that are exact or have many digits, identities, sets of reals, SymPy on demand

`reference` says what makes a reference unusable, `policy` what counts as the same where
mathematics alone does not say, `limits` how much is looked at, `verdict` what is answered.
"""

from verifiers.math_equivalence.scorer import MathEquivalence

__all__ = ["MathEquivalence"]
