package gate

import (
	"testing"
	"time"

	"broach/internal/member"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [GST-5] It answers an Open as one without room does (LNK-1), and makes no link of others.
func TestAGuestMakesNoLinkOfOthers(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		before := a.Take(s.ask(t, a))
		s.NoteSelf(time.Now(), Self{Addr: s.addr, IsGuest: true})
		s.hear(before.Confirm(nil))
		require.Zero(t, s.made())
		o := s.ask(t, a)
		require.Zero(t, o.Rank)
		require.Zero(t, o.Token)
		o = s.askWith(t, a, func(m *wire.Open) { m.Addr = member.Nowhere(a.Addr) })
		require.NotZero(t, o.Rank, "who asks where it is gets an answer")
		require.Equal(t, a.Addr, o.Observed)
	})
}
