package broach

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"broach/internal/member"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// The words of states and kinds are part of logs and pages.
func TestNamesOfStatesAndKinds(t *testing.T) {
	require.Equal(t, []string{"alive", "suspect", "offline", "left", "unknown"},
		[]string{Alive.String(), Suspect.String(), Offline.String(), Left.String(), State(99).String()})
	require.Equal(t, "member up", MemberUp.String())
	require.Equal(t, "unknown", EventKind(99).String())
	tags := map[string]string{"b": "2", "a": "1"}
	require.Equal(t, tags, tagMap(wireTags(tags)))
	require.Equal(t, slices.Sorted(maps.Keys(tags))[0], wireTags(tags)[0].Key)
}

// What is told of a member adds up to what Members says of it: who is out of reach is not told as up, but for a moment
// when it comes.
func TestEventsSayWhatAMemberIs(t *testing.T) {
	n := new(Node)
	n.linking.tokens.Init(rand.Uint64)
	view := func(s member.State, unreachable bool) *member.View {
		return &member.View{Facts: member.Facts{State: s, Unreachable: unreachable}, Functions: []wire.Function{{Name: "f"}}}
	}
	for name, test := range map[string]struct {
		was, is *member.View
		want    []EventKind
	}{
		"it comes":                        {nil, view(member.Alive, false), []EventKind{MemberUp, ServiceAdded}},
		"it comes out of reach":           {nil, view(member.Alive, true), []EventKind{MemberUp, MemberUnreachable, ServiceAdded}},
		"it is lost":                      {view(member.Alive, false), view(member.Alive, true), []EventKind{MemberUnreachable}},
		"it is reached again":             {view(member.Alive, true), view(member.Alive, false), []EventKind{MemberUp}},
		"a doubt about the unreachable":   {view(member.Alive, true), view(member.Suspect, true), []EventKind{MemberSuspect}},
		"that is over":                    {view(member.Suspect, true), view(member.Alive, true), []EventKind{MemberUnreachable}},
		"that is over, and it is reached": {view(member.Suspect, true), view(member.Alive, false), []EventKind{MemberUp}},
		"it dies":                         {view(member.Suspect, false), view(member.Offline, false), []EventKind{MemberOffline}},
		"it comes back":                   {view(member.Offline, false), view(member.Alive, false), []EventKind{MemberUp, ServiceAdded}},
		"it comes back out of reach":      {view(member.Left, true), view(member.Alive, true), []EventKind{MemberUp, MemberUnreachable, ServiceAdded}},
		"it leaves after it died":         {view(member.Offline, false), view(member.Left, false), []EventKind{MemberLeft}},
		"it has died before we look":      {nil, view(member.Offline, false), []EventKind{MemberOffline}},
		"nothing":                         {view(member.Offline, false), view(member.Offline, false), nil},
	} {
		var got []EventKind
		n.peerChanges(test.was, test.is, func(e Event) bool {
			got = append(got, e.Kind)
			return true
		})
		require.Equal(t, test.want, got, name)
	}
}
