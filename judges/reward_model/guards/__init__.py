"""Guards against texts that reward models fall for and no reader would.

1. A small reward model likes an empty markdown skeleton, or "thanks" a hundred times, better
   than most real answers. Each guard measures one thing in a text (guard.py), larger where it
   is more suspicious, and raises its flag where the measure is beyond a threshold:

    short        letters and digits           empty and one-character answers
    repetition   repeated word trigrams, or   "the the the", loops, one answer pasted thrice
                 runs of twelve characters;
                 more, where as in a loop
    symbols      share of other characters    rows of emoji, rules and braces
    skeleton     lines without content        markdown headings over nothing, "Solution"
    echo         words copied from the prompt the prompt given back
    injection    speech to the grader         "ignore the rubric", forged turns
    distance     rarity of its character      random letters, other languages: what is far
                 trigrams in natural texts    from the training data
    order        neighbouring words, against  an answer with its words shuffled
                 those of shuffles
    relevance    a classifier over the two    answers to another prompt, confident filler
                 embeddings

2. Some measures compare with natural texts: those of the user's own data, good and bad ones
   alike. What a guard learns from them, and its threshold, stand in the model's card.
3. Thresholds are chosen for all guards together (thresholds.py): they flag at most a stated
   share of natural texts, and find as many degenerate ones (degenerate.py) as that allows. A
   guard that the data makes useless (a rewriting task echoes its prompt) gets a threshold that
   nothing passes, and does no harm.
4. What is learned is learned on one half of the prompts and measured on the other, and the
   reverse, so that no threshold rests on texts that its measure had seen (fitting.py).
5. Some degenerate texts no threshold can tell from natural ones: an answer to another prompt
   may look as relevant as the least relevant of the right ones. So a text loses reward by how
   much likelier it is to be degenerate (penalties.py), flagged or not:

    penalty = max over guards of slope (measure - start), from 0 to 8

   in deviations of the reference set's rewards. Most natural texts lose nothing.
6. A flagged text is capped below nearly all natural ones, unless told otherwise; see the
   scorer's `guards`.

A new guard is a file with its class, and a line in `GUARDS` (guards.py): it is then fitted,
flags, and stands in the scorer's schema. A model that was fitted before it does without it.

Covered: the kinds above, each in tests/judges/reward_model/test_guards.py.
Not covered: answers to another prompt that would do for any, as where replies are short or
polite refusals; fluent, relevant and wrong answers; flattery; texts that were optimised against
these very guards.
"""
