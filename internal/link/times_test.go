package link

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"broach/internal/transfer"

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
		"drained link without a datagram closes":     {drainFor},
		"Request without a word of it":               {minRTO, maxRTO, maxPace, firstMost},
		"Progress, after the Request":                {ackDelay},
		"Poll, after Progress":                       {pollFirst, pollEvery},
		"reply is kept":                              {replyKept},
		"Fragments without an acknowledgement":       {minTransferRTO},
		"transfer without a new fragment is dropped": {transfer.Idle},
		"Reply as a transfer without":                {transfer.Idle},
		"search for a larger packet size":            {searchAgain},
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
	if d < time.Second {
		return fmt.Sprintf("%d( to [0-9]+)? ms", d.Milliseconds())
	}
	return fmt.Sprintf("%d s|%d minutes", d/time.Second, d/time.Minute)
}
