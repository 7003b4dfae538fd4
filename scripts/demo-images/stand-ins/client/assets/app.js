fetch('/api/version').then(answer => answer.text()).then(text => { document.querySelector('output').textContent = text; });
