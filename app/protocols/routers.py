"""Which protocols there are. Each can be switched off; a new one is its file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from fastapi import APIRouter

from app.protocols.eval_protocol import eval_protocol_router
from app.protocols.gateway import Gateway
from app.protocols.nemo_gym import nemo_gym_router
from app.protocols.open_instruct import open_instruct_router
from app.protocols.openai_graders import openai_router
from app.protocols.openrlhf import openrlhf_router
from app.protocols.run_code import run_code_router
from app.protocols.sglang import sglang_router
from app.protocols.slime import slime_router
from app.protocols.tei import tei_router
from app.protocols.vllm import vllm_router

Router = Callable[[Gateway], APIRouter]

ROUTERS: Mapping[str, Sequence[Router]] = {
    "openai_graders": [openai_router],
    "openrlhf": [openrlhf_router],
    "slime": [slime_router],
    "nemo_gym": [nemo_gym_router],
    "eval_protocol": [eval_protocol_router],
    "reward_model": [vllm_router, sglang_router, tei_router],
    "run_code": [run_code_router],
    "test_program": [open_instruct_router],
}
"""By the setting that switches them."""


def foreign_routers(gateway: Gateway) -> Iterator[APIRouter]:
    for name, routers in ROUTERS.items():
        if getattr(gateway.settings.protocols, name):
            yield from (router(gateway) for router in routers)
