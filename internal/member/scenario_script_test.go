package member

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A scenario is a script of one command per line; # begins a comment. Nodes are numbers, 1 being the seed of all;
// several are written 1,3-5, and everybody else that runs is "all". Small letters stand for themselves:

// actions are what happens. They stand in the trace.
var actions = []command{
	{"start COUNT", (*scenario).start}, // all see all after 1 s, which is not traced
	{"join NODE", (*scenario).enter},
	{"kill NODE", (*scenario).kill},
	{"restart NODE", (*scenario).restart},
	{"leave NODE", (*scenario).depart},
	{"pause NODE", (*scenario).pause}, // neither ticks nor receives, as after SIGSTOP
	{"resume NODE", (*scenario).resume},
	{"cut NODES NODES", (*scenario).cutBoth},
	{"oneway NODES NODES", (*scenario).cutOneWay}, // nothing arrives from the first at the second
	{"heal", (*scenario).heal},
	{"loss PERCENT", (*scenario).lose},
	{"delay TIME", (*scenario).slow},      // of each datagram
	{"lend NODE", (*scenario).lend},       // it gets nothing any more; another may join at its address
	{"return NODE", (*scenario).giveBack}, // it gets what is sent to its address again, and whoever had that is dead
	{"register NODE NAME", (*scenario).offer},
}

// expectations let time pass, and say what is seen meanwhile.
var expectations = []command{
	{"run TIME", (*scenario).wait},
	{"within TIME all see all", (*scenario).allSeeAll},
	{"within TIME WHO know|knows NODE STATE", (*scenario).know},
	{"within TIME WHO know|knows NODE offers NAME", (*scenario).knowOffer},
	{"never TIME STATE", (*scenario).never},
}

// stateWords are what a node can believe of another.
var stateWords = []string{"up", "suspect", "offline", "left", "unreachable"}

// command is one that scripts know: how it is written, and what does it.
type command struct {
	pattern string
	do      func(*scenario, operands) error
}

// operands are what stood in the places of the capital letters.
type operands struct {
	nodes   [][]int // nil for all
	time    time.Duration
	percent float64
	word    string
}

var errUnknown = errors.New("unknown command")

// parse finds the command that a line is.
func parse(line string, among []command) (command, operands, error) {
	words := strings.Fields(line)
	for _, c := range among {
		pattern := strings.Fields(c.pattern)
		if !fits(words, pattern) {
			continue
		}
		a, err := operandsOf(words, pattern)
		return c, a, err
	}
	return command{}, operands{}, errUnknown
}

// fits reports that a line has as many words as a pattern, and those that the pattern spells out.
func fits(words, pattern []string) bool {
	if len(words) != len(pattern) {
		return false
	}
	for i, p := range pattern {
		if !isPlace(p) && !slices.Contains(strings.Split(p, "|"), words[i]) {
			return false
		}
	}
	return true
}

func isPlace(word string) bool { return word == strings.ToUpper(word) }

func operandsOf(words, pattern []string) (a operands, err error) {
	for i, p := range pattern {
		if isPlace(p) && err == nil {
			err = a.take(p, words[i])
		}
	}
	return a, err
}

// take reads the word at a place.
func (a *operands) take(place, word string) (err error) {
	switch place {
	case "COUNT", "NODE":
		var n int
		n, err = parseNode(word)
		a.nodes = append(a.nodes, []int{n})
	case "NODES":
		var list []int
		list, err = parseNodes(word)
		a.nodes = append(a.nodes, list)
	case "WHO":
		var list []int
		if word != "all" {
			list, err = parseNodes(word)
		}
		a.nodes = append(a.nodes, list)
	case "TIME":
		a.time, err = time.ParseDuration(word)
	case "PERCENT":
		a.percent, err = strconv.ParseFloat(strings.TrimSuffix(word, "%"), 64)
	case "STATE":
		a.word = word
		if !slices.Contains(stateWords, word) {
			err = fmt.Errorf("%q is none of %v", word, stateWords)
		}
	case "NAME":
		a.word = word
	}
	return err
}

// scenarioNodes is the highest number of a node: more than a screen of trace needs.
const scenarioNodes = 99

func parseNode(word string) (int, error) {
	n, err := strconv.Atoi(word)
	if err != nil || n < 1 || n > scenarioNodes {
		return 0, fmt.Errorf("%q is no node", word)
	}
	return n, nil
}

// parseNodes reads 1,3-5.
func parseNodes(word string) (list []int, err error) {
	for part := range strings.SplitSeq(word, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := parseNode(from)
		last, err2 := parseNode(to)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		for n := first; n <= last; n++ {
			list = append(list, n)
		}
	}
	return list, nil
}

// formatNodes is the reverse of parseNodes. The numbers rise.
func formatNodes(list []int) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		part := strconv.Itoa(list[i])
		if j > i {
			part += "-" + strconv.Itoa(list[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}
