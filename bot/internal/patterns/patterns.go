// Package patterns tells what patterns of package regexp can match, without a text.
//
// Those of OnMessage are looked at before the first message comes: one that no text matches, and one behind another
// that takes every text it could have, are slips that nobody would see.
package patterns

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"unicode"
)

// patternBudget is how many steps of two patterns are followed until it is taken for possible that they differ. Usual
// ones take some hundreds; all of these take a fraction of a second.
const patternBudget = 50_000

// LeavesOver reports whether there is a text that pattern matches and earlier does not; earlier "" matches nothing.
// Both are run side by side over all texts, as far as these can be told apart by the patterns. What is too large to
// follow counts as yes.
func LeavesOver(pattern, earlier string) bool {
	later, err := program(pattern)
	if err != nil {
		return true
	}

	progs := []*syntax.Prog{later}
	if earlier != "" {
		before, err := program(earlier)
		if err != nil {
			return true
		}
		progs = append(progs, before)
	}

	s := search{progs: progs, budget: patternBudget, seen: map[string]bool{}}
	if s.alphabet = s.letters(); s.alphabet == nil {
		return true
	}

	s.add(position{threads: make([][]uint32, len(progs)), before: endOfText})
	for len(s.todo) > 0 && s.budget > 0 {
		next := s.todo[0]
		s.todo = s.todo[1:]
		if s.follow(next) {
			return true
		}
	}
	return s.budget <= 0
}

func program(pattern string) (*syntax.Prog, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, err
	}
	return syntax.Compile(parsed.Simplify())
}

// endOfText stands for what is before the first letter and behind the last.
const endOfText rune = -1

// search goes through the texts, letter by letter. Positions from which the patterns go on alike are looked at once.
type search struct {
	progs    []*syntax.Prog // the later pattern, and the earlier one
	alphabet []rune         // one letter of each sort that the patterns tell apart
	budget   int
	seen     map[string]bool
	todo     []position
}

// position is a place in a text.
type position struct {
	threads [][]uint32 // of each pattern: where in it a match can be
	before  rune       // the letter before, as far as \b, ^ and $ ask
	matched bool       // the later pattern has matched already
}

func (s *search) add(p position) {
	key := binary.AppendVarint(nil, int64(p.before))
	for _, threads := range p.threads {
		key = binary.AppendUvarint(key, uint64(len(threads)))
		for _, pc := range threads {
			key = binary.AppendUvarint(key, uint64(pc))
		}
	}

	if p.matched {
		key = append(key, 1)
	}
	if !s.seen[string(key)] {
		s.seen[string(key)] = true
		s.todo = append(s.todo, p)
	}
}

// follow tries every letter, and the end, at p. It reports whether a text was found that is left over.
func (s *search) follow(p position) bool {
	for _, letter := range append([]rune{endOfText}, s.alphabet...) {
		where := syntax.EmptyOpContext(p.before, letter)
		next := position{matched: p.matched, before: sortOf(letter)}
		taken := false
		for i, prog := range s.progs {
			began := append([]uint32{uint32(prog.Start)}, p.threads[i]...) // a match can begin anywhere
			reached, matches := s.reach(prog, began, where)
			if matches && i > 0 {
				taken = true
				break
			}
			next.matched = next.matched || matches
			next.threads = append(next.threads, s.step(prog, reached, letter))
		}
		switch {
		case taken:
		case letter != endOfText:
			s.add(next)
		case next.matched:
			return true
		}
	}
	return false
}

// reach returns the instructions that take a letter and can be got to without one, and whether the pattern matches.
func (s *search) reach(prog *syntax.Prog, from []uint32, where syntax.EmptyOp) (reached []uint32, matches bool) {
	done := map[uint32]bool{}
	for len(from) > 0 {
		pc := from[len(from)-1]
		from = from[:len(from)-1]
		if done[pc] {
			continue
		}
		done[pc] = true
		s.budget--
		switch in := prog.Inst[pc]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			from = append(from, in.Out, in.Arg)
		case syntax.InstCapture, syntax.InstNop:
			from = append(from, in.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(in.Arg)&^where == 0 {
				from = append(from, in.Out)
			}
		case syntax.InstMatch:
			matches = true
		case syntax.InstFail:
		default:
			reached = append(reached, pc)
		}
	}
	return reached, matches
}

// step returns where a pattern is behind a letter.
func (s *search) step(prog *syntax.Prog, reached []uint32, letter rune) []uint32 {
	var behind []uint32
	for _, pc := range reached {
		if letter != endOfText && prog.Inst[pc].MatchRune(letter) {
			behind = append(behind, prog.Inst[pc].Out)
		}
	}
	slices.Sort(behind)
	return slices.Compact(behind)
}

// sortOf is a letter as far as \b, ^ and $ ask for it.
func sortOf(letter rune) rune {
	switch {
	case letter == endOfText || letter == '\n':
		return letter
	case syntax.IsWordChar(letter):
		return 'a'
	}
	return ' '
}

// letters returns one letter of each sort that the patterns tell apart; nil when they are too large.
func (s *search) letters() []rune {
	edges := []rune{0, '\n', '\n' + 1, '0', '9' + 1, 'A', 'Z' + 1, '_', '_' + 1, 'a', 'z' + 1}
	for _, prog := range s.progs {
		for _, in := range prog.Inst {
			for i, r := range in.Rune {
				edges = append(edges, r, r+1)
				if len(in.Rune) == 1 && i == 0 { // it may stand for its other cases, too
					for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
						edges = append(edges, f, f+1)
					}
				}
			}
		}
	}
	slices.Sort(edges)

	edges = slices.Compact(edges)
	size := 0
	for _, prog := range s.progs {
		size += len(prog.Inst)
	}

	if len(edges)*size > 20*patternBudget {
		return nil
	}

	var letters []rune
	sorts, sort := map[string]bool{}, make([]byte, 0, size+1)
	for _, r := range edges {
		if r > unicode.MaxRune {
			continue
		}
		sort = append(sort[:0], byte(sortOf(r)))
		for _, prog := range s.progs {
			for _, in := range prog.Inst {
				takes := byte('0')
				if in.Op >= syntax.InstRune && in.MatchRune(r) {
					takes = '1'
				}
				sort = append(sort, takes)
			}
		}
		if !sorts[string(sort)] {
			sorts[string(sort)] = true
			letters = append(letters, r)
		}
	}
	return letters
}
