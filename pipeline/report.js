/* The page is whole without this: it filters the samples and hides languages. */
(() => {
    'use strict';
    const byId = (id) => document.getElementById(id);
    const tools = byId('tools');
    if (!tools) return;
    const cards = Array.from(document.querySelectorAll('.card'), (card) => ({
        card,
        text: card.textContent.toLowerCase(),
        flagged: card.querySelector('.flag') !== null,
    }));
    const find = byId('find'), flagged = byId('flagged'), shown = byId('shown');
    const filter = () => {
        const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
        let n = 0;
        for (const c of cards) {
            const fits = words.every((w) => c.text.includes(w)) &&
                (!flagged || !flagged.checked || c.flagged);
            c.card.hidden = !fits;
            n += fits;
        }
        shown.value = n === cards.length ? '' : n + ' of ' + cards.length + ' shown';
    };
    find.addEventListener('input', filter);
    if (flagged) flagged.addEventListener('change', filter);
    for (const box of tools.querySelectorAll('[data-show]'))
        box.addEventListener('change', () => {
            for (const text of document.querySelectorAll('.caption'))
                if (text.dataset.lang === box.dataset.show) text.hidden = !box.checked;
        });
    /* On a small screen ten captions in four languages are too much at once. */
    if (window.matchMedia('(max-width: 48rem)').matches)
        for (const list of document.querySelectorAll('.generated')) list.open = false;
    tools.hidden = false;
    filter();
})();
