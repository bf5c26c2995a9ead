package main

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"broach"
	"broach/broachtest"

	"github.com/stretchr/testify/require"
)

// market is the shop in memory, in virtual time: the services on nodes of a broachtest.Cluster.
type market struct {
	*broachtest.Cluster
	t     *testing.T
	app   App
	shop  *broach.Node // that of the database and the tills
	store *tables
	nodes []*broach.Node // as wanted
	// booked gets where a booking was asked for, once after isArmed was set, and keeps the answer back for a while
	booked  chan netip.AddrPort
	isArmed atomic.Bool
}

func inMarket(t *testing.T, test func(t *testing.T, m *market)) {
	synctest.Test(t, func(t *testing.T) {
		cfg, err := broach.LoadConfig("shop.json")
		require.NoError(t, err)
		cfg.LogLevel = "" // nothing
		m := &market{Cluster: broachtest.New(t, broachtest.Defaults(cfg)), t: t, booked: make(chan netip.AddrPort)}
		require.NoError(t, cfg.App(&m.app))
		m.app.OrdersASecond = 100
		m.shop = m.Start("shop", func(cfg *broach.Config) { cfg.ServeInterceptors = []broach.Interceptor{m.hold} })
		m.store, err = serveStore(m.shop, m.app)
		require.NoError(t, err)
		for _, service := range wanted {
			m.nodes = append(m.nodes, m.Start(service))
		}
		for i := range wanted {
			m.serve(i)
		}
		m.Settle()
		test(t, m)
	})
}

func (m *market) serve(i int) { require.NoError(m.t, services[wanted[i]](m.nodes[i], m.app)) }

// replace starts another node in the place of one that has ended or is to be killed.
func (m *market) replace(i int) {
	m.nodes[i] = m.Restart(m.nodes[i])
	m.serve(i)
	time.Sleep(time.Second)
}

// hold stands around what the database serves.
func (m *market) hold(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
	v, err := next(ctx, call)
	if call.Service == "store.Book" && m.isArmed.CompareAndSwap(true, false) {
		m.booked <- call.From
		time.Sleep(3 * time.Second)
	}
	return v, err
}

// killAtBooking kills a process of the orders that has booked an order and has told nobody.
func (m *market) killAtBooking() {
	m.isArmed.Store(true)
	from := <-m.booked
	for i, n := range m.nodes {
		if n.Addr() == from {
			m.replace(i)
		}
	}
}

// No order fails, is booked twice, or has no mail or two, though all processes are replaced, one of the orders is
// killed at the worst moment, and one that has mails to send.
func TestEachOrderIsBookedOnceAndToldOnce(t *testing.T) {
	inMarket(t, func(t *testing.T, m *market) {
		tills := newTills(m.shop)
		closing := tills.open(t.Context(), m.app)
		for i := range m.nodes {
			require.NoError(t, m.nodes[i].Leave(t.Context()), wanted[i])
			m.replace(i)
		}
		m.killAtBooking()
		m.replace(len(wanted) - 1)
		closing()
		m.store.awaitMails(10 * time.Second)
		require.NoError(t, account(tills, m.store))
		clicked := tills.sold - len(tills.receipts) // twice
		require.Greater(t, m.store.again.booked, clicked, "a call of orders.Place that had booked was made again")
		require.Positive(t, m.store.again.told, "events were lost, and published again")
	})
}

// What a service says of an order arrives at the till as it was said, through the orders.
func TestRefusalsArriveAtTheTill(t *testing.T) {
	inMarket(t, func(t *testing.T, m *market) {
		place := newTills(m.shop).place
		_, err := place(t.Context(), Order{1, "gold", 1})
		require.ErrorIs(t, err, &broach.Error{Code: NoSuchItem})
		_, err = place(t.Context(), Order{2, "milk", 0})
		require.ErrorIs(t, err, broach.ErrInvalidArgument)
		_, err = place(t.Context(), Order{3, "cake", 301})
		var out *SoldOut
		require.ErrorAs(t, err, &out)
		require.Equal(t, &SoldOut{"cake", 300}, out)

		r, err := place(broach.WithMeta(t.Context(), "till", "one"), Order{4, "cake", 3})
		require.NoError(t, err)
		require.Equal(t, Receipt{Order{4, "cake", 3}, 3 * 1890 * 9 / 10, "one"}, r)

		require.NoError(t, m.shop.Unregister("store.Book"))
		require.NoError(t, m.shop.Register("store.Book", func(Receipt) (Receipt, bool, error) {
			return Receipt{}, false, broach.Errorf(broach.Overloaded, "the disk is full")
		}))
		m.Settle()
		_, err = place(t.Context(), Order{5, "milk", 1})
		require.ErrorIs(t, err, broach.ErrApplication)
		require.ErrorContains(t, err, "the disk is full")
	})
}
