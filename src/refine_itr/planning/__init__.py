"""Profiles, plans and their simulation: numbers only, no model and no pipeline."""

from refine_itr.planning.batch_time import BatchTime, fit_batch_time
from refine_itr.planning.control import CapController
from refine_itr.planning.goal import Goal, parse_goal
from refine_itr.planning.make import make_plan, more_devices
from refine_itr.planning.plan import Plan, PlannedStage
from refine_itr.planning.profile import REST_S, Profile, StageOption
from refine_itr.planning.simulate import Simulation, simulate, simulate_sequential

__all__ = [
    "REST_S",
    "BatchTime",
    "CapController",
    "Goal",
    "Plan",
    "PlannedStage",
    "Profile",
    "Simulation",
    "StageOption",
    "fit_batch_time",
    "make_plan",
    "more_devices",
    "parse_goal",
    "simulate",
    "simulate_sequential",
]
