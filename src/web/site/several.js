// SPDX-License-Identifier: MIT
// Shows the browser's own record of what it fetched for this page.
window.addEventListener('load', () => {
  const body = document.getElementById('files');
  for (const entry of performance.getEntriesByType('resource')) {
    const row = body.insertRow();
    for (const text of [new URL(entry.name).pathname, entry.decodedBodySize, entry.duration.toFixed(1)]) {
      row.insertCell().textContent = text;
    }
  }
});
