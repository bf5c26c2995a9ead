package member

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The table of times in section 8 of PROTOCOL.md says what this package does, by what stands first in its rows.
func TestTimesOfTheProtocol(t *testing.T) {
	spec, err := os.ReadFile("../../PROTOCOL.md")
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(spec), "\n## 8. Times\n")
	require.True(t, ok)
	table, _, _ = strings.Cut(table, "\n## ")
	for what, times := range map[string][]time.Duration{
		"Confirms without an answer":          {provingFor, provingAgain},
		"who has answered an Open within 1 s": {time.Second, yieldFor},
		"Opens to an address of a List":       {yieldFor, contactFor},
		"missing address is given up":         {missedFor},
		"what must be answered": {
			helloFirst, helloSlower, helloEvery, helloEvery << helloDoubled,
		},
		"Open to the next seed":                         {joinFirst, joinSlowest},
		"Join again on a link":                          {joinAgain},
		"seed that has just begun answers Join":         {joinHold},
		"joiner is told of newcomers":                   {joinRecent},
		"Beat to a peer":                                {usual.Interval},
		"peer is late":                                  {usual.Margin},
		"Pings of a probe":                              {usual.ProbeEvery, usual.ProbeEvery / pairDensity},
		"Pings of a helper":                             {usual.ProbeEvery},
		"Suspect, Offline are said":                     {usual.ProbeEvery},
		"suspect becomes offline":                       {usual.Grace},
		"Pings because of another's Suspect":            {usual.ProbeEvery, usual.ProbeEvery / 2, accuseEvery},
		"own incarnation is raised":                     {refuteEvery},
		"an offline peer, and seeds without a peer":     {healEvery},
		"offline peer is forgotten":                     {usual.Forget},
		"Leave":                                         {leaveEvery, leaveFor},
		"peer that has left is forgotten":               {leftKept},
		"List because of another digest":                {listEvery, listSlowest},
		"tick that means that this process was stopped": {stalled},
		"peers late of which a node is isolated":        {2 * pulseEvery},
		"peer is unsteady":                              {flapsWithin, steadyAfter},
		"Drain":                                         {drainFirst, drainSlowest},
		"guest without a datagram is gone":              {guestSilence, visitPing},
		"table is pulled, after its version was seen":   {pullEvery, crowdedEvery},
	} {
		row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(what) + `.*$`).FindString(table)
		require.NotEmpty(t, row, what)
		for _, d := range times {
			require.Regexp(t, `\b(`+inWords(d)+`)\b`, row)
		}
	}
}

// inWords is how a document says a time.
func inWords(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d s|%d minutes?", d/time.Second, d/time.Minute)
	}
	return fmt.Sprintf("%d h", d/time.Hour)
}
