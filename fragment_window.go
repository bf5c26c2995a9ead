package broach

const (
	firstWindow = 32
	minWindow   = 16

	// maxWindow is what one acknowledgement can speak of: a single transfer cannot use more.
	maxWindow = fragmentSpan
)

// A sendWindow says how many fragments may be in flight on a link, [FRAG-6].
type sendWindow struct {
	size   int
	credit int  // acknowledged since the window last grew; counts after the first loss only
	lossy  bool // a fragment was lost: growth is additive from now on
}

// grow is called for each fragment that is acknowledged.
func (w *sendWindow) grow() {
	w.credit++
	if w.lossy && w.credit < w.size {
		return
	}
	w.credit = 0
	w.size = min(w.size+1, maxWindow)
}

// halve is called at a loss, at most once per round trip.
func (w *sendWindow) halve() {
	*w = sendWindow{size: max(w.size/2, minWindow), lossy: true}
}

// collapse is called when a halved window was not heard of either.
func (w *sendWindow) collapse() {
	*w = sendWindow{size: minWindow, lossy: true}
}
