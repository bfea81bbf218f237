"""How facts depend on each other, as they are declared (`Fact`): sets, and names with numbers.

A set may have the value of another fact as its one member, or one member at most; the organizations
of a row may be those of its collaboration; a user takes part in the collaborations of its
organization, and in no others.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from v6srv.authz.fact_types import Fact, naming
from v6srv.authz.theory.groups import Group, Groups
from v6srv.authz.theory.literals import Constant, Known, Literal, Term
from v6srv.vocabulary import PrincipalKind

_USER, _NODE, _CONTAINER = (f"kind:{kind}" for kind in PrincipalKind)
_NONE = Constant(None)


class Relations:
    """What members sets have and do not have, and what follows."""

    def __init__(self, way: Sequence[Literal], groups: Groups, known: Known) -> None:
        self.groups, self.known = groups, known
        self.inside: dict[str, list[Term]] = defaultdict(list)
        self.outside: dict[str, list[Term]] = defaultdict(list)
        self.apart: list[tuple[str, str]] = []
        """Sets that have no member in common."""
        subject, row = known.tokens
        self._org, self._kind = self._value(f"{subject}.org"), known.values.get(f"{subject}.kind")
        self._own, self._collabs = f"{subject}.collabs", f"{row}.collabs"
        self._is_user, self._impossible = self._kind == _USER, False
        self._names: dict[Term, tuple[str, Term]] = {}
        """Texts that are names: their kind, and the fact that is their number."""
        if (collabs := self._fact(self._collabs)) and collabs.always:
            self._has(self._collabs, f"one of {self._collabs}", True)
        for member in known.values.get(self._own, ()):
            self._has(self._own, Constant(member), True)
        for literal in way:
            if literal.kind == "member":
                self._has(literal.right, literal.left, literal.so)
            elif literal.kind == "meets" and literal.so:
                self._share(literal.left, literal.right)
            elif literal.kind == "meets":
                self.apart.append((literal.left, literal.right))

    def fit(self) -> bool:
        """Take all consequences; false when some contradict each other."""
        if not self._concerned():
            return True
        before = -1
        while before != (before := self._extent()):
            self._follow()
        return not self._contradict()

    def members(self, name: str) -> list[Group]:
        """The members that a set surely has."""
        return [self.groups.of(term) for term in self.inside[name]]

    def _concerned(self) -> bool:
        """Whether anything depends on something else; for most ways nothing does."""
        declared = map(self.known.facts.__getitem__, self.groups.facts())
        sets = self.inside or self.outside or self.apart
        return bool(sets) or any(fact.same or fact.account for fact in declared)

    def _extent(self) -> int:
        """Grows with every consequence."""
        sets = (*self.inside.values(), *self.outside.values())
        return self.groups.joined + len(self._names) + sum(map(len, sets))

    def _has(self, name: str, term: Term, so: bool) -> None:
        """Let a term be, or not be, a member of a set."""
        found = (self.inside if so else self.outside)[name]
        if term in found:
            return
        found.append(term)
        value = self.known.values.get(name)
        if isinstance(value, frozenset):
            group = self.groups.of(term)
            (group.among if so else group.not_among).append(value)

    def _share(self, here: str, there: str) -> None:
        """Let two sets have a member in common."""
        common = f"one of {here} and {there}"
        self._has(here, common, True)
        self._has(there, common, True)

    def _follow(self) -> None:
        for name in list(self.inside):
            for term in self.inside[name]:
                self._inside(name, term)
        for here, there in self.apart:
            for one, other in ((here, there), (there, here)):
                for term in self.inside[one]:
                    self._has(other, term, False)
        for name in self.groups.facts():
            fact = self.known.facts[name]
            if fact.same and not fact.is_set:
                self._equal(name, fact)
        self._number()
        for name in list(self.outside):
            self._outside(name)
        if self._kind in (_USER, _NODE):
            self._take_part()
        self._own_account()

    def _fact(self, name: str) -> Fact | None:
        return self.known.facts.get(name)

    def _same(self, name: str, fact: Fact) -> Term:
        return self._value(f"{name.partition('.')[0]}.{fact.same}")

    # --- sets

    def _inside(self, name: str, term: Term) -> None:
        group, fact = self.groups.of(term), self._fact(name)
        group.there = True
        if fact is None:
            return
        if fact.kind:
            group.kinds.add(fact.kind)
        if fact.same and fact.or_all:
            only = group.only()
            if only:
                self.groups.of(self._same(name, fact)).among.append((only[1], None))
        elif fact.same:
            self.groups.join(term, self._member(name, fact))
            self.groups.of(self._same(name, fact)).there = True
        if fact.at_most_one:
            self.groups.join(term, self.inside[name][0])

    def _member(self, name: str, fact: Fact) -> Term:
        """The term that is the one member of a set that is the `same` as another fact."""
        number = self._same(name, fact)
        if not fact.kind:
            return number
        member = f"{fact.kind} of {number}"
        self._names[member] = fact.kind, number
        return member

    def _outside(self, name: str) -> None:
        """What is no member is another than each member."""
        fact = self._fact(name)
        for term in self.outside[name]:
            only = self.groups.of(term).only()
            for member in self.members(name):
                if only and not member.constants and [only[1]] not in member.not_among:
                    member.not_among.append([only[1]])
            if fact is not None and fact.same:
                one = self.groups.of(self._member(name, fact))
                if one is self.groups.of(term):
                    self.groups.join(self._same(name, fact), _NONE)
                elif only and not one.constants and [only[1]] not in one.not_among:
                    one.not_among.append([only[1]])

    # --- one value

    def _equal(self, name: str, fact: Fact) -> None:
        if fact.kind:
            self._names[name] = fact.kind, self._same(name, fact)
        else:
            self.groups.join(name, self._same(name, fact))

    def _number(self) -> None:
        """Names are equal if and only if they are of one kind and their numbers are equal."""
        of = self.groups.of
        named = [(term, *name) for term, name in self._names.items()]
        for at, (term, kind, number) in enumerate(named):
            only, text = of(number).only(), of(term).only()
            if only:
                self.groups.join(term, Constant(f"{kind}:{only[1]}"))
            elif text:
                found = naming(kind).fullmatch(str(text[1]))
                if found:
                    self.groups.join(number, Constant(int(found[1])))
                elif text[1] == f"{kind}:None":
                    self.groups.join(number, _NONE)
            for other, other_kind, other_number in named[:at]:
                if kind == other_kind and of(number) is of(other_number):
                    self.groups.join(term, other)
                elif of(term) is of(other):
                    self.groups.join(number, other_number)

    def _value(self, name: str) -> Term:
        return Constant(self.known.values[name]) if name in self.known.values else name

    # --- the principal and the row

    def _take_part(self) -> None:
        """The organization of a user is in the collaborations that the user takes part in, and in
        no others; that of a node at least in that of the node."""
        _, row = self.known.tokens
        orgs, collabs = self._fact(f"{row}.orgs"), self._fact(f"{row}.collabs")
        if orgs is not None and orgs.of_those_in == "collabs":
            self._take_part_in_one()
        elif collabs is not None and collabs.of_those_in == "orgs":
            same = self._is_that(f"{row}.org", self._org)
            if self.inside[self._collabs] and not collabs.at_most_one:
                self.groups.of(f"{row}.org").there = True
            if same or self._is_in(f"{row}.orgs", self._org):
                if not collabs.at_most_one:
                    self._all_in(self._own, self._collabs)
                if self._is_user:
                    self._all_in(self._collabs, self._own)

    def _take_part_in_one(self) -> None:
        """The row is in one collaboration and has its organizations."""
        orgs = f"{self.known.tokens[1]}.orgs"
        if self._is_user and self._is_in(orgs, self._org):
            self._share(self._collabs, self._own)
        if any(self._is_in(self._own, one) for one in self.inside[self._collabs]) and any(
            self.groups.of(one) is self.groups.of(self._org) for one in self.outside[orgs]
        ):
            self.groups.join(self._org, _NONE)

    def _own_account(self) -> None:
        """The row of an account that asks has its organization and its collaborations."""
        subject, row = self.known.tokens
        fact = self._fact(f"{row}.id")
        if fact is None or not fact.account or not self.groups.has(f"{row}.id"):
            return
        number = self.groups.of(self._value(f"{subject}.account"))
        if self.groups.of(f"{row}.id") is number:
            if (fact.account == "user") is not self._is_user:
                self._impossible = True  # one number is never both
            elif self._kind != _CONTAINER and not fact.moving:
                self.groups.join(f"{row}.org", self._org)
                self._all_in(self._own, self._collabs)
                self._all_in(self._collabs, self._own)

    def _all_in(self, narrow: str, wide: str) -> None:
        """Let all members of one set be members of another."""
        for term in self.inside[narrow]:
            self._has(wide, term, True)
        for term in self.outside[wide]:
            self._has(narrow, term, False)

    def _is_that(self, name: str, term: Term) -> bool:
        group = self.groups.of(term)
        return self.groups.has(name) and group is self.groups.of(name) and group.is_there

    def _is_in(self, name: str, term: Term) -> bool:
        """Whether a term is surely a member of a set."""
        value, only = self.known.values.get(name), self.groups.of(term).only()
        if isinstance(value, frozenset):
            return only is not None and only[1] in value
        return any(self.groups.of(other) is self.groups.of(term) for other in self.inside[name])

    # --- contradictions

    def _contradict(self) -> bool:
        return self._impossible or any(self._contradictions())

    def _contradictions(self) -> Iterator[bool]:
        for name, members in self.inside.items():
            groups = [self.groups.of(term) for term in members]
            without = [self.groups.of(term) for term in self.outside.get(name, ())]
            yield any(member is other for member in groups for other in without)
            named: list[Any] = [member.only() for member in groups]
            yield name in self.known.unnamed and any(named)
