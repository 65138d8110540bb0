"""Invented people of invented companies. Nothing here exists; the domains are reserved for examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Company:
    name: str
    domain: str
    industry: str
    employees: int
    country: str


@dataclass(frozen=True, slots=True)
class Person:
    """`role` is what the board shows: "Researcher at Example Software"."""

    role: str
    job_title: str
    company: Company

    @property
    def lead_id(self) -> str:
        return f"{_slug(self.role)}-{_slug(self.company.name.removeprefix('Example '))}"

    @property
    def profile(self) -> dict[str, Any]:
        """The fields of a LeadProfile."""
        company = self.company
        return {
            "email": f"{_slug(self.role)}@{company.domain}",
            "name": f"{self.role} at {company.name}",
            "company": company.name,
            "company_domain": company.domain,
            "industry": company.industry,
            "employees": company.employees,
            "country": company.country,
            "job_title": self.job_title,
        }


def _company(kind: str, industry: str, employees: int, country: str) -> Company:
    return Company(f"Example {kind}", f"{_slug(kind)}.example", industry, employees, country)


def _slug(text: str) -> str:
    return "-".join(text.lower().split())


SOFTWARE = _company("Software", "software", 420, "SE")
ROBOTICS = _company("Robotics", "manufacturing", 1_800, "DE")
FINANCE = _company("Finance", "finance", 950, "NL")
ENERGY = _company("Energy", "energy", 5_200, "NO")
AIRWAYS = _company("Airways", "transport", 3_100, "PT")
BAKERY = _company("Bakery", "food", 310, "FR")
TRAVEL = _company("Travel", "tourism", 240, "ES")
HOTELS = _company("Hotels", "tourism", 2_600, "IT")
STUDIO = _company("Studio", "design", 3, "AT")
UNIVERSITY = _company("University", "education", 9_000, "US")
CLOUD = _company("Cloud", "software", 85, "US")
LOGISTICS = _company("Logistics", "transport", 760, "PL")
CLINIC = _company("Clinic", "health", 130, "CH")
PAYMENTS = _company("Payments", "finance", 60, "GB")
SCHOOL = _company("School", "education", 45, "CA")

#: Where the crowd works, besides the people with a story.
EMPLOYERS = (SOFTWARE, ROBOTICS, FINANCE, AIRWAYS, CLOUD, LOGISTICS, CLINIC, PAYMENTS, SCHOOL, STUDIO)
#: (role, job title) of the crowd.
ROLES = (
    ("Engineer", "Software engineer"),
    ("Analyst", "Business analyst"),
    ("Marketer", "Marketing manager"),
    ("Team lead", "Team lead"),
    ("Consultant", "Consultant"),
    ("Director", "Director of operations"),
    ("Head of IT", "Head of IT"),
    ("Intern", "Intern"),
)
