"""Other systems' wire formats, so that whoever speaks one needs no code to be scored here.

How one is added: a file, a line and a row.

1. The file holds what nobody else needs to know of the system. Its docstring says which route of
   which release it speaks, what the client there does with an error, and so what an unscored
   sample becomes. The request is a `StrictBody`; `parse`, from it to samples, and `render`, from
   scores to the reply, are plain functions. A handler for each conversation parses, has
   `gateway.score` score, and renders.
2. `PROTOCOL`, at its end, declares it: `protocol.py` says what each field means. Systems that
   share code are a folder, as in `model_servers`; so is one that takes several files.
3. The line is the module's name in `registry.py`. By it there are the switch `[protocols] NAME`
   and the routes, in the OpenAPI document, too.
4. The row is one of the table in README.md, which a test compares with the registry.
5. Examples of requests and replies are a file of JSON lines in `tests/app/protocols`.

A score that failed is never a zero that looks earned: where a reply has no word for it, the reply
is an error status (`reward_of` raises it), or says beside its zero that it is none. A status
that a client would misread becomes another by `statuses`.
"""
